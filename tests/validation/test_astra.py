"""The ring is that of ASTRA-sim's analytical back end, to the cycle.

Its cycles of five all-reduces are typed here; the file of its output lies beside the
project.
"""

from __future__ import annotations

import math

import polars as pl
import pytest

from hindmost.collective import Cost, Link, ring
from tests.validation.families import ABSENT, DATA

GOLDEN = DATA / "golden" / "astra_ring_all_reduce.csv"

# Output of ASTRA-sim's analytical back end: cycles of 1 ns of an all-reduce of 1 MiB over a flat
# ring, in four chunks one after another, by ranks. Links of 50 GiB/s and 500 ns, an endpoint
# delay of 10 ns and a local memory of 1,600 bytes a nanosecond.
CYCLES = {4: 43_000, 8: 64_440, 16: 99_640, 64: 296_896, 256: 1_079_200}
N_BYTES = 2**20
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


@pytest.mark.parametrize("n_ranks", CYCLES)
def test_whole_cycles_of_our_ring_are_those_of_astra_sim(n_ranks: int) -> None:
    assert astra_cycles(n_ranks, N_BYTES) == CYCLES[n_ranks]


@pytest.mark.parametrize("n_ranks", CYCLES)
def test_floors_and_memory_are_all_that_is_between_them(n_ranks: int) -> None:
    messages = N_CHUNKS * 2 * (n_ranks - 1)
    memory_ns = 1.5 * messages * (N_BYTES / (N_CHUNKS * n_ranks)) / MEMORY_BYTES_PER_NS
    our_ns = NS * our_ring(n_ranks, N_BYTES).total_s + N_CHUNKS * ENDPOINT_NS
    # A cycle less a message on the wire, one and a half in memory.
    assert -2.5 * messages <= CYCLES[n_ranks] - our_ns <= memory_ns


@pytest.mark.skipif(not GOLDEN.is_file(), reason=ABSENT)
def test_typed_cycles_are_those_of_the_file() -> None:
    rows = pl.read_csv(GOLDEN).select("n_ranks", "message_bytes", "cycles").rows()
    assert rows == [(n_ranks, N_BYTES, cycles) for n_ranks, cycles in CYCLES.items()]
