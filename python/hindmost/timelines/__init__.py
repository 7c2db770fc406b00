"""One step as a timeline."""
