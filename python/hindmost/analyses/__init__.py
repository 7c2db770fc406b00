"""Analyses: questions about a result that take further simulations to answer."""
