"""Scenarios that stay as they are while presets move."""

from pathlib import Path

COLOSSUS_1_BARE = Path(__file__).parent / "colossus-1-bare.toml"
"""220,000 GPUs in one job: what golden values, worked figures and gates are held on."""
