"""What GPUs cost, and what they are worth."""
