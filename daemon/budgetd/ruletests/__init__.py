"""Rule tests: a TOML file of courses and of what is to be told of them, replayed by the functions of the live run."""
