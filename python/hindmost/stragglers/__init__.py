"""What a recorded job would have been without stragglers."""
