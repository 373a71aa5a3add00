"""budgetd's decisions: pure functions over frozen records, with no clock, no I/O and no library."""
