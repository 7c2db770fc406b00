"""Statistics of what is sampled, and its addresses."""
