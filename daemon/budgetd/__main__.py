"""`python -m budgetd` is `budgetd`."""

from budgetd.cli import main

main()
