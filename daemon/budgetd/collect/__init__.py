"""Collecting: from the requests of a provider file to readings and outages."""
