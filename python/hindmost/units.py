"""Prefixes and conversions. Values are in SI units; prefixes appear only in texts and limits."""

from __future__ import annotations

import re
from decimal import Decimal

MEGA = 1e6
GIGA = 1e9
TERA = 1e12
MEBI = 2**20

_PREFIXES = {
    "": 1,
    "k": 10**3,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
_BYTES = re.compile(r"([0-9][0-9_]*(?:\.[0-9]+)?(?:e[0-9]{1,2})?) ?(?:([kKMGT]i?|)B)?")

BF16_BYTES = 2
FP32_BYTES = 4
"""Bytes of one bfloat16 number."""


def gigabytes(n_bytes: float) -> str:
    """Return a number of bytes in GB (10^9), to three digits.

    Examples
    --------
    >>> gigabytes(31_459_000_000)
    '31.5 GB'
    """
    return f"{n_bytes / GIGA:.3g} GB"


def parsed_bytes(text: str) -> int | None:
    """Return the bytes that a text says, such as ``1GiB``, ``1.5 MB`` or a plain number.

    None where it says no whole number of them: G is 10^9 and Gi is 2^30, and a prefix without B
    could be either.

    Examples
    --------
    >>> parsed_bytes("1MiB"), parsed_bytes("1MB"), parsed_bytes("4096"), parsed_bytes("1e9")
    (1048576, 1000000, 4096, 1000000000)
    >>> parsed_bytes("1M") is None
    True
    """
    match = _BYTES.fullmatch(text.strip())
    prefix = "" if match is None else match[2] or ""
    if match is None or prefix not in _PREFIXES:
        return None
    number = Decimal(match[1].replace("_", "")) * _PREFIXES[prefix]
    return int(number) if number == int(number) else None


def shown_bytes(n_bytes: int) -> str:
    """Return a whole number of bytes with the prefix that says it shortest, without rounding.

    Examples
    --------
    >>> shown_bytes(2**20), shown_bytes(1_500_000), shown_bytes(4_096), shown_bytes(12_345)
    ('1 MiB', '1.5 MB', '4 KiB', '12345 B')
    """
    units = [(size, f"{prefix}B") for prefix, size in _PREFIXES.items() if prefix != "K"]
    texts = (f"{Decimal(n_bytes) / size:f} {unit}" for size, unit in units if n_bytes >= size)
    return min(texts, key=len, default=f"{n_bytes} B")
