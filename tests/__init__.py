"""Tests of hindmost."""
