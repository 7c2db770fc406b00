"""Plots as Vega-Lite specifications: plain dictionaries, drawn without a browser or a network."""
