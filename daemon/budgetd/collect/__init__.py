"""From a vendor's answers to readings."""
