"""How many GPUs of one type a mixed cluster stands for, by several conventions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hindmost.catalog import Accelerator

Figure = Callable[[Accelerator], float | None]

HARDWARE: dict[str, tuple[Figure, str]] = {
    "bf16": (lambda gpu: gpu.peak_flop_per_s("bf16"), "dense peaks in BF16"),
    "fp8": (lambda gpu: gpu.peak_flop_per_s("fp8"), "dense peaks in FP8"),
    "lowest": (
        lambda gpu: gpu.peak_fp4_flop_per_s or gpu.peak_flop_per_s("fp8"),
        "dense peaks in FP4 where a type has it, else in FP8",
    ),
    "memory_bandwidth": (lambda gpu: gpu.hbm_bytes_per_s, "rates of memory"),
    "memory": (lambda gpu: gpu.memory_bytes, "bytes of memory"),
}
"""Figures of the hardware, and what they are in words."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """GPUs of one type.

    Attributes
    ----------
    gpu : Accelerator
        Their figures.
    n_gpus : int
        How many.
    """

    gpu: Accelerator
    n_gpus: int


def by_hardware(parts: Sequence[Part], reference: Accelerator) -> dict[str, float | None]:
    """Return how many GPUs of a type have as much of each figure; None where one is not known.

    Parameters
    ----------
    parts
        The cluster.
    reference
        The type that is counted in.
    """
    return {name: _ratio(parts, reference, figure) for name, (figure, _) in HARDWARE.items()}


def _ratio(parts: Sequence[Part], reference: Accelerator, figure: Figure) -> float | None:
    one = figure(reference)
    each = [figure(part.gpu) for part in parts]
    if one is None or any(value is None for value in each):
        return None
    total = 0.0
    for part, value in zip(parts, each, strict=True):
        assert value is not None
        total += part.n_gpus * value
    return total / one
