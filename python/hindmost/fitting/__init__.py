"""Fits of what logs hold: causes with their errors, and how a scenario compares with a log."""
