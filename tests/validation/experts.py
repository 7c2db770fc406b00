"""Published steps of jobs with experts: one number is fitted on one job, another job predicted.

The number is `software_efficiency`, the share of the catalogue's rate that the software reaches.
Nothing varies, so that a step is the noiseless one. Bridge is NVIDIA-NeMo/Megatron-Bridge,
performance summary 26.04; dgxc is NVIDIA/dgxc-benchmarking v25.05.05, deepseek_v3.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from scipy.optimize import brentq

import hindmost as hm
from hindmost.plan import make_plan
from hindmost.result import Result
from hindmost.scenario import Scenario, from_table, to_table
from tests.models import QWEN3_235B
from tests.plans import compute_time

Table = dict[str, Any]

LEAST_EFFICIENCY = 0.05
"""Share of the catalogue's rate that a fit looks for, at least; at most all of it."""

TRACE_COMPUTE_S = 118.2e-3
"""Compute, by stream, of one forward and one backward chunk of four layers with experts and 4,096
tokens on an H800 (deepseek-ai/profile-data, train.json, March 2025)."""

TRACE_BUSY_S = 128.5e-3
"""Seconds of the same chunks in which the GPU computes or exchanges tokens."""

DEEPSEEK_STEP_S, DEEPSEEK_BUBBLE_S = 19.926, 2.06
"""Step and bubble of DeepSeek-V3 on 2,048 H800 (Insights into DeepSeek-V3, ISCA 2025, table 4)."""

PRESET = "deepseek-v3-2048"


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published step, and the scenario of its job."""

    title: str
    step_s: float
    scenario: Table = field(repr=False)

    def at(self, software_efficiency: float) -> Scenario:
        """Return the scenario at a software efficiency."""
        pool = self.scenario["pools"]["gpus"] | {"software_efficiency": software_efficiency}
        return from_table({**self.scenario, "pools": {"gpus": pool}})

    def predicted_s(self, software_efficiency: float) -> float:
        """Return the step that a software efficiency predicts."""
        return make_plan(self.at(software_efficiency)).noiseless_step_s


def bridge_qwen() -> Published:
    """Return Qwen3-235B on 256 B200: each node has the eight ranks that divide the experts."""
    return Published(
        title="Qwen3-235B, 256 B200",
        step_s=34.7,
        scenario={
            "name": "bridge-qwen3-235b",
            "models": {"qwen3-235b": QWEN3_235B},
            "pools": {"gpus": {"gpu": "b200-sxm", "n_gpus": 256}},
            "fabric": {"name": "infiniband-ndr"},
            "workload": {
                "model": "qwen3-235b",
                "seq_len": 4096,
                "microbatch_seqs": 1,
                "global_batch_seqs": 8192,
                "dtype": "fp8",
            },
            "layout": {"pipeline": 8, "expert": 8, "sharding": "zero1"},
        },
    )


def bridge_deepseek(**workload: float) -> Published:
    """Return DeepSeek-V3 on 256 B200, whose exchange hides; stages as its recipe has them."""
    return Published(
        title="DeepSeek-V3, 256 B200",
        step_s=19.7,
        scenario={
            "name": "bridge-deepseek-v3",
            "pools": {"gpus": {"gpu": "b200-sxm", "n_gpus": 256}},
            "fabric": {"name": "infiniband-ndr"},
            "workload": {
                "model": "deepseek-v3",
                "seq_len": 4096,
                "microbatch_seqs": 1,
                "global_batch_seqs": 4096,
                "dtype": "fp8",
                **workload,
            },
            "layout": {
                "pipeline": 8,
                "expert": 32,
                "sharding": "zero1",
                "schedule": "interleaved",
                "chunks": 2,
                "stage_layers": [4] * 15 + [1],
            },
        },
    )


HIDES = {"expert_overlap_fraction": 0.9}
"""The overlap that collectives have by default; none has been published for Bridge."""


def dgxc_deepseek(n_gpus: int) -> Published:
    """Return DeepSeek-V3 on 512 or 1,024 H100, as many sequences a GPU on both."""
    pipeline, n_microbatches, step_s = {512: (8, 128, 48.948), 1024: (16, 256, 52.04)}[n_gpus]
    return Published(
        title=f"DeepSeek-V3, {n_gpus:,} H100",
        step_s=step_s,
        scenario={
            "name": "dgxc-deepseek-v3",
            "pools": {"gpus": {"gpu": "h100-sxm", "n_gpus": n_gpus}},
            "fabric": {"name": "infiniband-ndr"},
            "workload": {
                "model": "deepseek-v3",
                "seq_len": 4096,
                "microbatch_seqs": 1,
                "n_microbatches": n_microbatches,
                "recompute": "full",
            },
            "layout": {"tensor": 2, "pipeline": pipeline, "expert": 32, "sharding": "zero1"},
        },
    )


@cache
def _fitted(title: str) -> float:
    jobs = (bridge_qwen(), dgxc_deepseek(512))
    published = next(one for one in jobs if one.title == title)

    def excess_s(software_efficiency: float) -> float:
        return published.predicted_s(software_efficiency) - published.step_s

    found: float = brentq(excess_s, LEAST_EFFICIENCY, 1.0, xtol=1e-6)
    return found


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A step that is predicted with a number that was fitted on another job, or on none."""

    published: Published
    fitted_on: Published | None
    limit: float
    """Greatest error; of a bound, without a fit, the sign counts only."""

    @property
    def software_efficiency(self) -> float:
        """The fitted number; 1 without a fit."""
        return 1.0 if self.fitted_on is None else _fitted(self.fitted_on.title)

    @property
    def step_s(self) -> float:
        """The predicted step, in seconds."""
        return self.published.predicted_s(self.software_efficiency)

    @property
    def error(self) -> float:
        """Predicted over published, less 1."""
        return self.step_s / self.published.step_s - 1


def predictions() -> tuple[Prediction, ...]:
    """Return what one job's fit predicts of another one."""
    return (
        Prediction(published=bridge_deepseek(**HIDES), fitted_on=bridge_qwen(), limit=0.25),
        Prediction(published=dgxc_deepseek(1024), fitted_on=dgxc_deepseek(512), limit=0.10),
    )


def of_even_stages() -> Prediction:
    """Return the prediction of DeepSeek-V3 on B200 with layers as even as possible."""
    published = bridge_deepseek(**HIDES)
    layout = {k: v for k, v in published.scenario["layout"].items() if k != "stage_layers"}
    even = replace(published, scenario={**published.scenario, "layout": layout})
    return Prediction(published=even, fitted_on=bridge_qwen(), limit=0.25)


def bounds() -> tuple[Prediction, ...]:
    """Return what no fit predicts: the best that the hardware can do, nothing hidden."""
    jobs = (bridge_qwen(), bridge_deepseek(), deepseek())
    return tuple(Prediction(published=one, fitted_on=None, limit=0.0) for one in jobs)


def deepseek() -> Published:
    """Return the preset's job without its fit: nothing hides, and nothing varies."""
    table = to_table(hm.load(PRESET))
    for key in ("expert_overlap_fraction", "expert_bandwidth_share"):
        del table["workload"][key]
    scenario = {key: table[key] for key in ("name", "fabric", "workload", "layout", "collective")}
    pools = {"gpus": {"gpu": "h800-sxm", "n_gpus": 2048}}
    return Published(
        title="DeepSeek-V3, 2,048 H800",
        step_s=DEEPSEEK_STEP_S,
        scenario={**scenario, "pools": pools},
    )


@cache
def software_efficiency_of_trace() -> float:
    """Return the share of the catalogue's rate at which DeepSeek's profile computes."""
    # With all experts on every rank no tokens are exchanged, and compute is what is left.
    changes = {"pools.h800.software_efficiency": 1.0, "layout.expert": 1}
    stage = compute_time(hm.load(PRESET, changes), "h800").stages[2]
    return stage.total_s / TRACE_COMPUTE_S


@cache
def as_published() -> Result:
    """Return the simulation of the preset without any cause of variation."""
    off = {f"causes.{name}.enabled": False for name in hm.load(PRESET).causes}
    return hm.simulate(
        PRESET, changes={**off, "fabric.noise.enabled": False}, seed=1, runs=1, steps=1
    )


def bubble_s() -> float:
    """Return the seconds of a step in which a GPU of the preset's job has nothing to compute."""
    result = as_published()
    (pool,) = result.pool_rows
    busy_s: float = pool["busy_frac"] * result.value("step_time_s")
    return result.value("compute_s") - busy_s
