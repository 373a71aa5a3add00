"""budgetd watches what you buy from other vendors, and tells you once before it runs out."""
