"""Logs that training stacks write, as frames of steps."""

from hindmost.logs.read import read_log

__all__ = ["read_log"]
