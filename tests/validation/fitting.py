"""The procedure: two numbers of a family from its smallest scales, the rest predicted."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hindmost as hm
from hindmost import catalog
from hindmost.physics.flops import model_flops_per_token, output_parameters
from hindmost.result import Result
from hindmost.scenario import Scenario
from hindmost.units import GIGA
from tests.validation.families import Family, Row, Unit

Vector = NDArray[np.float64]

CAUSES = "measured-pipeline"
"""Preset that all causes come from, the same for all families."""

SEED = 7
RUNS = 32
"""Many runs of few steps: what differs most is the speed of the GPUs, drawn once a run."""
STEPS = 5

HOP_S, BEYOND_S = 1e-6, 1e-3
"""Latency of a hop between chips, as the catalogue assumes of tori, and between slices, which is
assumed, too."""
BEYOND_BYTES_PER_S = 3.125e9
"""Rate of a TPU v5e to other slices: 6.4 Tb/s for 256 chips of a pod (Google Cloud, TPU v5e)."""

HIDDEN_COST = catalog.stack("tuned").hidden_cost
"""Cost of hiding, the same for all, of rows whose stack has none."""

DIGITS = 4
"""Significant digits of a fitted number."""
TOLERANCE = 5e-5
"""Error of a fitted row before its numbers are rounded."""
MAX_ITERATIONS = 12
START = (1.7, 0.0)
"""One over kernel_efficiency, and overhead_s."""
FIRST_STEPS = (0.05, 0.05)
"""Steps that show how a step's time depends on either."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What a family's smallest scales say of its software."""

    kernel_efficiency: float
    overhead_s: float

    def share_of_catalogue(self, row: Row) -> float:
        """Return the kernel efficiency over the catalogue's for the same number format."""
        known = catalog.gpu(row.gpu).kernel_efficiency_of(row.dtype)
        assert known is not None
        return self.kernel_efficiency / known


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A simulated figure, in the unit of the published one."""

    value: float
    std_error: float
    published: float

    @property
    def error(self) -> float:
        """Simulated over published figure, less 1."""
        return self.value / self.published - 1


def scenario_text(row: Row, fit: Fit) -> str:
    """Return the scenario of a row as a TOML file holds it."""
    own = not isinstance(row.model, str)
    tables: dict[str, dict[str, Any]] = {
        "pools.gpus": {
            "gpu": row.gpu,
            "n_gpus": row.n_gpus,
            "kernel_efficiency": fit.kernel_efficiency,
        },
        "fabric": {"name": row.fabric},
        "workload": {
            "model": "own" if own else str(row.model),
            "seq_len": row.seq_len,
            "microbatch_seqs": row.microbatch_seqs,
            "global_batch_seqs": row.batch_seqs,
            "dtype": row.dtype,
            "stack": row.stack,
            "attention": row.attention,
            "recompute": row.recompute,
            "overhead_s": fit.overhead_s,
        },
        "layout": {
            "tensor": row.tensor,
            "pipeline": row.pipeline,
            "context": row.context,
            "expert": row.expert,
            "sharding": row.sharding,
            "schedule": "interleaved" if row.chunks > 1 else "1f1b",
            "chunks": row.chunks,
            "order": row.order,
        },
    }
    if not isinstance(row.model, str):
        tables["models.own"] = dict(row.model.table)
        experts = tables["models.own"].pop("experts", None)
        if experts is not None:
            tables["models.own.experts"] = experts
    if row.stage_layers is not None:
        tables["layout"]["stage_layers"] = list(row.stage_layers)
    if row.slice_shape is not None:
        tables |= _slices(row, row.slice_shape)
        tables["layout"]["shard_group_replicas"] = math.prod(row.slice_shape)
        tables["pools.gpus"]["scale_up_latency_s"] = HOP_S
    lines = ['name = "validation"', f'extends = ["{CAUSES}"]']
    for name, table in tables.items():
        lines += ["", f"[{name}]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def _slices(row: Row, shape: tuple[int, int]) -> dict[str, dict[str, Any]]:
    """Return the fabric of slices of a torus that a slower network joins."""
    beyond = {"gpus": math.prod(shape), "bytes_per_s": BEYOND_BYTES_PER_S, "latency_s": BEYOND_S}
    return {
        "fabrics.slices": {"extends": row.fabric},
        "fabrics.slices.beyond": beyond,
        "fabric": {"name": "slices", "shape": list(shape)},
        "collective": {"algorithm": "torus", "hidden_cost": HIDDEN_COST},
    }


@cache
def scenario(row: Row, fit: Fit) -> Scenario:
    """Return the scenario of a row."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "validation.toml"
        path.write_text(scenario_text(row, fit), encoding="utf-8")
        return hm.load(path)


@cache
def simulated(row: Row, fit: Fit, runs: int = RUNS, steps: int = STEPS) -> Result:
    """Return the simulation of a row."""
    return hm.simulate(scenario(row, fit), seed=SEED, runs=runs, steps=steps)


def estimate(family: Family, row: Row, fit: Fit) -> Estimate:
    """Return the simulated figure of a row and its standard error."""
    summary = simulated(row, fit).summary
    of_step = summary.filter(metric="step_time_s", statistic=family.statistic)
    step_s, std_error_s = of_step.select("value", "std_error").row(0)
    value = figure(scenario(row, fit), family.unit, step_s)
    std_error = value * std_error_s / step_s
    return Estimate(value=value, std_error=std_error, published=row.published)


def figure(job: Scenario, unit: Unit, step_s: float) -> float:
    """Return what a step of `step_s` seconds comes to in a unit.

    The unit of a rate and the seconds can be exchanged: a rate gives seconds.
    """
    if unit == "s":
        return step_s
    workload = job.workload
    (pool,) = job.pools.values()
    assert workload.global_batch_seqs is not None
    causal = workload.attention == "causal"
    per_token = model_flops_per_token(job.model, seq_len=workload.seq_len, causal=causal)
    if unit == "hardware TFLOP/s":
        # Layers are computed once more, the output layer is not (appendix of the paper).
        output = 6.0 * output_parameters(job.model)
        per_token = (per_token - output) * 4 / 3 + output
    flops = workload.global_batch_seqs * workload.seq_len * per_token
    flop_per_s = flops / pool.n_gpus / step_s
    if unit == "MFU %":
        peak_flop_per_s = catalog.gpu(pool.gpu).peak_flop_per_s("bf16")
        assert peak_flop_per_s is not None
        return 100 * flop_per_s / peak_flop_per_s
    return flop_per_s / (1000 * GIGA)


@cache
def fit(family: Family) -> Fit:
    """Return the numbers that make the fitted rows those published, rounded.

    Where the second number, seconds a step, comes out below 0, it is 0, and the first one is fitted
    on the smallest scale alone.
    """
    return _fit(family, family.fitted)


def fitted_on(family: Family) -> tuple[Row, ...]:
    """Return the rows that a family's numbers are fitted on: one where the second number is 0."""
    return family.fitted if fit(family).overhead_s else family.fitted[:1]


def predicted_rows(family: Family) -> list[Row]:
    """Return the rows that no number is fitted on, by scale."""
    rest = [row for row in family.rows if row not in fitted_on(family)]
    return sorted(rest, key=lambda row: row.n_gpus)


def _fit(family: Family, rows: tuple[Row, ...]) -> Fit:
    goals_s = np.array([_published_s(family, row) for row in rows])

    def excess_s(x: Vector) -> Vector:
        tried = _fit_of(x)
        steps_s = [simulated(row, tried).value("step_time_s", family.statistic) for row in rows]
        excess: Vector = np.array(steps_s) - goals_s
        return excess

    x = np.array(START[: len(rows)])
    found = excess_s(x)
    slopes = np.empty((len(rows), len(rows)))
    for column, step in enumerate(FIRST_STEPS[: len(rows)]):
        moved = x.copy()
        moved[column] += step
        slopes[:, column] = (excess_s(moved) - found) / step
    for _ in range(MAX_ITERATIONS):
        if np.all(np.abs(found) < TOLERANCE * goals_s):
            return _rounded(_fit_of(x))
        change = np.linalg.solve(slopes, -found)
        x = x + change
        if len(x) > 1 and x[1] < 0:
            return _fit(family, rows[:1])
        before, found = found, excess_s(x)
        # Broyden's update: slopes as the last step has shown them.
        surprise = found - before - slopes @ change
        slopes = slopes + np.outer(surprise, change) / (change @ change)
    raise AssertionError(f"{family.name}: no numbers make its smallest scales those published")


def _fit_of(x: Vector) -> Fit:
    overhead_s = float(x[1]) if len(x) > 1 else 0.0
    return Fit(kernel_efficiency=1 / float(x[0]), overhead_s=overhead_s)


def _rounded(fit: Fit) -> Fit:
    def digits(value: float) -> float:
        if value == 0:
            return 0.0
        return round(value, DIGITS - 1 - math.floor(math.log10(abs(value))))

    return Fit(kernel_efficiency=digits(fit.kernel_efficiency), overhead_s=digits(fit.overhead_s))


def _published_s(family: Family, row: Row) -> float:
    """Return the seconds of a step that a published figure comes to."""
    any_fit = Fit(kernel_efficiency=0.5, overhead_s=0.0)
    return figure(scenario(row, any_fit), family.unit, row.published)
