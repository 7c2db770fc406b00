"""Laws, random addresses and statistics of what both engines draw."""
