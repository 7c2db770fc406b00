"""Requests that queue for servers."""
