"""Slices of a pod of cubes: how many fit with cubes down, and what moving them would gain."""
