"""The ring is that of ASTRA-sim's analytical back end, to the cycle.

The cycles lie beside the project, not in it; without them these tests are skipped.
"""

from __future__ import annotations

import math
from pathlib import Path

import polars as pl
import pytest

from hindmost.collective import Cost, Link, ring

GOLDEN = Path(__file__).parents[3] / "shared" / "data" / "golden" / "astra_ring_all_reduce.csv"

pytestmark = pytest.mark.skipif(
    not GOLDEN.is_file(), reason="the published data are not beside the project"
)

N_CHUNKS = 4
LINK_NS = 500
ENDPOINT_NS = 10
LINK = Link(latency_s=(LINK_NS + ENDPOINT_NS) * 1e-9, bytes_per_s=50 * 2**30)
MEMORY_BYTES_PER_NS = 1_600
NS = 1e9


def our_ring(n_ranks: int, n_bytes: int) -> Cost:
    """Return the cost of the all-reduce in chunks, one after another."""
    return ring.all_reduce(n_bytes, n=n_ranks, link=LINK).in_pieces(N_CHUNKS)


def astra_cycles(n_ranks: int, n_bytes: int) -> int:
    """Return the cycles of 1 ns that ASTRA-sim counts for our ring.

    Floors: it counts whole cycles, and rounds down the time of each message on the
    wire and of each access to local memory. The local memory term: adding what
    comes in to what is there takes three accesses, two reads and a write, in each of
    the n - 1 rounds of the reduce-scatter; the all-gather only hands on. What is left
    is one endpoint delay a chunk.
    """
    cost = our_ring(n_ranks, n_bytes)
    messages = N_CHUNKS * 2 * (n_ranks - 1)
    message_bytes = n_bytes // (N_CHUNKS * n_ranks)
    accesses = N_CHUNKS * 3 * (n_ranks - 1)
    return (
        round(cost.latency_s * NS)
        + messages * math.floor(cost.transfer_s * NS / messages)
        + accesses * (message_bytes // MEMORY_BYTES_PER_NS)
        + N_CHUNKS * ENDPOINT_NS
    )


def rows() -> list[tuple[int, int, int]]:
    return pl.read_csv(GOLDEN).select("n_ranks", "message_bytes", "cycles").rows()


def test_whole_cycles_of_our_ring_are_those_of_astra_sim() -> None:
    found = {n: astra_cycles(n, n_bytes) for n, n_bytes, _ in rows()}
    assert found == {n: cycles for n, _, cycles in rows()}
    assert sorted(found) == [4, 8, 16, 64, 256]


def test_floors_and_memory_are_all_that_is_between_them() -> None:
    for n, n_bytes, cycles in rows():
        messages = N_CHUNKS * 2 * (n - 1)
        memory_ns = 1.5 * messages * (n_bytes / (N_CHUNKS * n)) / MEMORY_BYTES_PER_NS
        rest = cycles - NS * our_ring(n, n_bytes).total_s - N_CHUNKS * ENDPOINT_NS
        # A cycle less a message on the wire, one and a half in memory.
        assert -2.5 * messages <= rest <= memory_ns
