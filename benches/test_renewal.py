"""Jobs with failures against a stated rate."""

from __future__ import annotations

from typing import Any

import hindmost as hm
from benches.gate import gate_of_a_count

N_INTERRUPTIONS = 1_000_000

JOB = hm.Renewal(
    failures={"node": hm.Failures(per_hour=27_500 * 3.789e-3 / 24)},
    restart_s=600.0,
    interval_s=300.0,
    blocking_s=30.0,
)


def test_five_million_failures_a_second_and_core(benchmark: Any) -> None:
    n_failures = JOB.simulate(seed=1, runs=1, interruptions=N_INTERRUPTIONS).failures.sum()
    gate_of_a_count(
        benchmark,
        ours=lambda: JOB.simulate(seed=1, runs=1, interruptions=N_INTERRUPTIONS, threads=1),
        count=float(n_failures),
        at_least_per_s=5e6,
    )
