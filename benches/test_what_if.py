"""Recorded jobs without their stragglers, against the tool of the study and a stated count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.traced_jobs import Shape, traced_job, wavy_draw

import hindmost as hm
from benches.gate import gate_of_a_count
from hindmost.stragglers.ideal import Chosen
from hindmost.stragglers.recorded_job import read_job

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "traces"

TOOL_S = {"AR": 1.75, "ST": 0.87}
"""Seconds of StragglerAnalysis from the file to slowdowns, without M_W and M_S, for which it has
scripts of their own."""
TIMES = 50
"""How many times as fast a job is to be."""


@pytest.mark.skipif(
    not SHARED.is_dir(), reason="the traces of StragglerAnalysis are not in ../shared/data/traces"
)
@pytest.mark.parametrize("job", TOOL_S)
def test_a_job_from_its_file_to_all_shares(benchmark: Any, job: str) -> None:
    path = SHARED / f"trace-{job}.parquet"
    gate_of_a_count(
        benchmark,
        ours=lambda: hm.what_if(path, threads=2),
        count=1,
        at_least_per_s=TIMES / TOOL_S[job],
    )


SHAPE = Shape(stages=4, replicas=4, microbatches=32, steps=40)
N_SETS = 16
WALKED_PER_S = 400e6


def test_operations_of_walks_with_a_type_as_recorded(benchmark: Any) -> None:
    trace = traced_job(SHAPE, wavy_draw())
    job = read_job(trace)
    one = Chosen.all_of(job).but_kinds(["forward-compute"])
    kinds = np.tile(one.kinds, (N_SETS, 1))
    workers = np.tile(one.workers.ravel(), (N_SETS, 1))
    gate_of_a_count(
        benchmark,
        ours=lambda: job.core.step_times_s(kinds, workers, threads=1),
        count=N_SETS * len(trace),
        at_least_per_s=WALKED_PER_S,
    )
