"""FLOPs, bytes and seconds of models and layouts on GPUs and networks."""
