"""Bytes of a value in the number formats of activations."""

from __future__ import annotations

from hindmost.units import BF16_BYTES, FP32_BYTES

SCALED_BLOCK = 128
"""Values in FP8 that share a scale (DeepSeek-V3 Technical Report, section 3.3.2)."""

SCALE_BYTES = 4
"""Bytes of a scale, which is an FP32 number."""

FP8_BYTES = 1 + SCALE_BYTES / SCALED_BLOCK
"""Bytes of a value in FP8, with its part of a scale."""


def value_bytes(dtype: str) -> float:
    """Return the bytes of a value of activations in a number format, with its part of a scale.

    Examples
    --------
    >>> 7168 * value_bytes("fp8"), 7168 * value_bytes("bf16")
    (7392.0, 14336.0)
    """
    return {"fp8": FP8_BYTES, "bf16": float(BF16_BYTES)}[dtype]


def gradient_bytes(dtype: str) -> int:
    """Return the bytes of a gradient that is kept and reduced in a number format."""
    return {"bf16": BF16_BYTES, "fp32": FP32_BYTES}[dtype]
