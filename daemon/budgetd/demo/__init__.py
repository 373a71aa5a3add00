"""The documented vendors on loopback, and a story that shows what budgetd does with them."""
