"""Delivery: from notices in the database to messages in channels."""
