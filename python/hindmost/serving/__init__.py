"""Serving: what replicas of a model give at inference, and how many GPUs requests take."""
