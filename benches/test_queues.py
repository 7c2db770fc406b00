"""Requests through queues, against a stated rate."""

from __future__ import annotations

from typing import Any

import hindmost as hm
from benches.gate import gate_of_a_count

N_REQUESTS = 1_000_000

SERVERS = hm.queue(
    arrivals_per_s=80.0,
    service={"name": "lognormal", "median": 150.0, "sigma": 0.8},
    servers=8,
    discipline="batch",
    a_s=20e-3,
    b_s=0.2e-3,
    cap=128,
    prefill_s=10e-3,
    variation=2.0,
    routing="speed-aware",
)
"""Continuous batching on eight servers, each of which has some 90 requests in service."""


def test_two_million_requests_a_second_and_core(benchmark: Any) -> None:
    gate_of_a_count(
        benchmark,
        ours=lambda: SERVERS.simulate(seed=1, requests=N_REQUESTS, threads=1),
        count=float(N_REQUESTS),
        at_least_per_s=2e6,
    )
