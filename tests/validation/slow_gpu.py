"""One slow GPU of 384 in the training of BLOOM-176B.

Layout from the training's script (bigscience-workshop/bigscience,
train/tr11-176B-ml/tr11-176B-ml.slurm): tensor 4, pipeline 12, microbatches of two
sequences, all activations computed again, and layers divided so that either
embedding counts as one: 5, ten times 6, and 5. Its chronicles have the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hindmost import _core
from hindmost.physics.compute import ComputeTime, StageTime
from hindmost.scenario import Scenario, from_table
from tests.plans import compute_time
from tests.validation.families import Gpt
from tests.validation.typed import BLOOM_STEP_S

MODEL = Gpt(n_layers=70, hidden=14336, n_heads=112, vocabulary=250880)
STAGES = 12
STAGE_LAYERS = [5, *[6] * (STAGES - 2), 5]
N_GPUS = 384
MICROBATCH_SEQS = 2

BENCHMARK_S = (296.5, 303.6)
"""Seconds of a benchmark on other nodes, and on the node with the slow GPU."""

MAX_SLOWDOWN = 2.0
"""Slowdown that is looked for, at most."""


@dataclass(frozen=True, kw_only=True)
class Position:
    """What a slow GPU at one stage costs."""

    stage: int
    rise: float
    """Rise of the step where it is as slow as its node's benchmark was."""
    needed: float
    """Slowdown that makes the published rise."""
    needed_of_equals: float
    """Slowdown that makes the published rise, were all stages equal."""


@cache
def positions() -> tuple[Position, ...]:
    """Return what the slow GPU costs at each stage; nothing else varies."""
    healthy_s, slow_s = BLOOM_STEP_S
    published = slow_s / healthy_s - 1
    time = compute_time(_job(kernel_efficiency()), "gpus")
    benchmarked = BENCHMARK_S[1] / BENCHMARK_S[0]
    mean = StageTime(
        forward_s=time.forward_s / STAGES,
        backward_s=time.backward_s / STAGES,
    )
    equal = replace(time, stages=(mean,) * STAGES)

    def needed(time: ComputeTime, stage: int) -> float:
        return _bisect(lambda x: _rise(time, stage, x), published, 1.0, MAX_SLOWDOWN)

    return tuple(
        Position(
            stage=stage,
            rise=_rise(time, stage, benchmarked),
            needed=needed(time, stage),
            needed_of_equals=needed(equal, stage),
        )
        for stage in range(STAGES)
    )


@cache
def kernel_efficiency() -> float:
    """Return the kernel efficiency that makes the healthy step the published one."""
    healthy_s, _ = BLOOM_STEP_S
    return _bisect(lambda x: -compute_time(_job(x), "gpus").step_s, -healthy_s, 0.1, 1.0)


def _job(kernel_efficiency: float) -> Scenario:
    return from_table(
        {
            "name": "bloom",
            "models": {"bloom": MODEL.table},
            "pools": {
                "gpus": {
                    "gpu": "a100-sxm",
                    "n_gpus": N_GPUS,
                    "kernel_efficiency": kernel_efficiency,
                }
            },
            "fabric": {"name": "infiniband-ndr"},
            "workload": {
                "model": "bloom",
                "seq_len": 2048,
                "microbatch_seqs": MICROBATCH_SEQS,
                "global_batch_seqs": 2048,
                "attention": "full",
                "recompute": "full",
            },
            "layout": {
                "tensor": 4,
                "pipeline": STAGES,
                "stage_layers": STAGE_LAYERS,
                "sharding": "zero1",
            },
        }
    )


def _rise(time: ComputeTime, slow_stage: int, slowdown: float) -> float:
    """Return by how much a slow stage makes a step longer."""
    return _passes_s(time, slow_stage, slowdown) / _passes_s(time, slow_stage, 1.0) - 1


def _passes_s(time: ComputeTime, slow_stage: int, slowdown: float) -> float:
    """Return the seconds of all passes, those of one stage slowed down."""
    factors = np.ones((STAGES, 1))
    factors[slow_stage] = slowdown

    def each(seconds: list[float]) -> NDArray[np.float64]:
        return np.repeat(factors * np.array(seconds)[:, None], time.n_microbatches, axis=1)

    schedule = _core.Schedule(kind="1f1b", stages=STAGES, microbatches=time.n_microbatches)
    return schedule.seconds(
        each([stage.forward_s for stage in time.stages]),
        each([stage.backward_s for stage in time.stages]),
        transfer_s=time.transfers_s,
    )


def _bisect(rising: Callable[[float], float], goal: float, low: float, high: float) -> float:
    """Return where a rising function reaches a goal, or `high`."""
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < goal else (low, middle)
    return high
