"""Rule tests: a TOML file of polls and of what is to be told of them, replayed by the functions of the service."""
