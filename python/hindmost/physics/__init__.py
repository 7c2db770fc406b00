"""What GPUs, models and layouts come to in FLOPs, bytes and seconds."""
