"""First drafts that a person then edits: a provider file from a sample answer, a config from a few questions."""
