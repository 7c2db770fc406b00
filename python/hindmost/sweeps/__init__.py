"""Sweeps: many scenarios at once, on any executor, kept as they are done."""
