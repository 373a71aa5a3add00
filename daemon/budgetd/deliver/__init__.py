"""From notices to people."""
