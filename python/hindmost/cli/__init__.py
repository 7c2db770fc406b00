"""The command line: one command a file."""

from hindmost.cli.app import cli, main

__all__ = ["cli", "main"]
