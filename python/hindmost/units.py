"""Prefixes and conversions. Values are in SI units; prefixes appear only in texts and limits."""

MEGA = 1e6
GIGA = 1e9
MEBI = 2**20

BF16_BYTES = 2
"""Bytes of one bfloat16 number."""


def gigabytes(n_bytes: float) -> str:
    """Return a number of bytes in GB (10^9), to three digits.

    Examples
    --------
    >>> gigabytes(31_459_000_000)
    '31.5 GB'
    """
    return f"{n_bytes / GIGA:.3g} GB"
