"""Published rates of single matrix products: what a product writes takes time beside its FLOPs."""

from __future__ import annotations

import pytest

from hindmost import catalog

RATES = {
    (2112, 7168): 1058,
    (24576, 1536): 990,
    (32768, 512): 590,
    (7168, 16384): 1358,
    (4096, 7168): 1304,
    (7168, 2048): 1025,
}
"""TFLOP/s of products in FP8 of 4,096 rows on H800, by columns and inner width: README of
deepseek-ai/DeepGEMM at its first commit (February 2025)."""
ROWS = 4096


def rates(columns: int, inner: int) -> tuple[float, float]:
    """Return the rate of a product with the bytes that it writes, and by its FLOPs alone."""
    gpu = catalog.gpu("h800-sxm")
    share = catalog.stack("tuned").memory_efficiency
    peak, efficiency = gpu.peak_fp8_flop_per_s, gpu.kernel_efficiency_fp8
    assert peak is not None
    assert efficiency is not None
    assert share is not None
    assert gpu.hbm_bytes_per_s is not None
    flops = 2 * ROWS * columns * inner
    computing_s = flops / (peak * efficiency)
    writing_s = 2 * ROWS * columns / (share * gpu.hbm_bytes_per_s)
    return flops / (computing_s + writing_s) / 1e12, flops / computing_s / 1e12


@pytest.mark.parametrize("shape", RATES)
def test_what_a_product_writes_explains_most_of_what_it_loses(shape: tuple[int, int]) -> None:
    with_writes, alone = rates(*shape)
    published = RATES[shape]
    assert published < 1.005 * with_writes < 1.005 * 1.25 * published
    assert with_writes < alone
    # Where products lose most, more than half of it is what they write.
    if alone > 1.3 * published:
        lost, left = alone / published - 1, with_writes / published - 1
        assert left < lost * (0.75 if shape == (2112, 7168) else 0.5)
