"""Layouts of a job that fit its GPUs, ranked by how long a step takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import gcd, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from hindmost.arguments import as_int, available_threads, bounds, drawn_seed, refuse
from hindmost.compiled import compile
from hindmost.engines import Method, Progress
from hindmost.errors import Problem, ScenarioError
from hindmost.plan import Plan, make_plan
from hindmost.scenario import Changes, Scenario, from_table, to_table, with_changes
from hindmost.scenario.counts import domain_gpus
from hindmost.scenario.models import Layout
from hindmost.sweeps.sweep import sweep

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import polars as pl

SHARDINGS: tuple[str, ...] = get_args(Layout.model_fields["sharding"].annotation)
"""How states may be divided."""
BEST = 100
"""Layouts that are simulated, by default."""
MOST_CONTEXT = 64
"""Context ranks of a replica, at most."""
OF_ONE_PIPELINE = ("stage_layers", "last_stage_forward", "last_stage_backward", "n_replicas")
"""Keys of a layout that say nothing of others."""
KEYS = ("tensor", "pipeline", "context", "expert", "sharding")
"""Keys of a layout that are tried."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Layouts:
    """Layouts of a job, the fastest first.

    Attributes
    ----------
    frame : polars.DataFrame
        One row a layout that fits: tensor, pipeline, context, expert and sharding; n_replicas and
        n_microbatches; memory_bytes of the fullest GPU; noiseless_step_s, seconds of a step without
        any cause, and noiseless_mfu; and of the best ones mfu_mean, step_time_s_p50 and
        step_time_s_p95, null of all others.
    global_batch_seqs : int
        Sequences of a step, the same for all: those of the scenario as it is.
    n_refused : int
        Layouts that the scenario refuses.
    reasons : dict of str to int
        How many are refused because of what, by key path; ``layout`` is memory.
    seed : int
        Seed of what is simulated.
    """

    frame: pl.DataFrame
    global_batch_seqs: int
    n_refused: int
    reasons: dict[str, int]
    seed: int


def layouts(
    scenario: Scenario | str | Path,
    *,
    best: int = BEST,
    changes: Changes | None = None,
    executor: Executor | None = None,
    store: str | Path | None = None,
    seed: int | None = None,
    runs: int | None = None,
    steps: int | None = None,
    method: Method = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> Layouts:
    """Return the layouts of a job that fit, ranked by the seconds of a step without any cause.

    Tried are tensor groups that divide a domain, stages that divide the layers and powers of two,
    context ranks of powers of two, experts divided among any divisor of them, and all ways to
    divide states, as far as a replica fits the smallest pool. All train on the same sequences in a
    step, those of the scenario as it is; all else, such as the schedule and the sequences of a
    microbatch, stays. A scenario with stages of its own, such as ``stage_layers``, gets even ones.

    Parameters
    ----------
    scenario
        A scenario, or a name or path that `load` takes.
    best
        Layouts that are simulated, too, from the fastest on.
    changes
        Key paths and their new values, laid over the scenario.
    executor, store, seed, runs, steps, method, threads, progress
        As in `sweep`, of the simulations.

    Raises
    ------
    ScenarioError
        With every problem of the scenario or the call, or if no layout fits.

    Examples
    --------
    >>> import hindmost as hm
    >>> found = hm.layouts("h100-1k", best=2, seed=1, runs=2, steps=20)
    >>> found.frame["noiseless_step_s"].is_sorted()
    True
    """
    best = as_int(best)
    refuse(bounds("best", best, 0, 100_000))
    base = compile(scenario, changes)
    seed = drawn_seed() if seed is None else as_int(seed)
    batch = base.plan.tokens // base.scenario.workload.seq_len
    jobs = _Jobs.of(base.scenario, batch)
    found: list[tuple[dict[str, Any], Plan]] = []
    reasons: Counter[str] = Counter()
    n_tried = 0
    for one in _tried(base.scenario):
        n_tried += 1
        try:
            plan = make_plan(jobs.with_layout(one), known=(base.scenario, base.plan))
        except ScenarioError as error:
            reasons.update({problem.path for problem in error.problems})
        else:
            found.append((one, plan))
    if not found:
        requirement = f"must fit in some way, and none of {n_tried:,} that were tried does"
        hint = f"refused for {', '.join(reasons)}"
        source = base.scenario.source
        refuse([Problem(path="layout", requirement=requirement, hint=hint, source=source)])
    found.sort(key=lambda pair: pair[1].noiseless_step_s)
    points = [{"scenario": jobs.with_layout(one)} for one, _ in found[:best]]
    simulated = sweep(
        points,
        executor=executor,
        store=store,
        seed=seed,
        runs=runs,
        steps=steps,
        method=method,
        threads=available_threads() if threads is None else threads,
        progress=progress,
    )
    return Layouts(
        frame=_frame([_row(one, plan) for one, plan in found], simulated),
        global_batch_seqs=batch,
        n_refused=n_tried - len(found),
        reasons=dict(reasons.most_common()),
        seed=seed,
    )


@dataclass(frozen=True)
class _Jobs:
    """A job with one batch for all layouts.

    Attributes
    ----------
    plain, grouped : Scenario
        Without shard groups, and with those of the scenario.
    """

    plain: Scenario
    grouped: Scenario

    @classmethod
    def of(cls, scenario: Scenario, batch: int) -> _Jobs:
        """Return the job of a scenario with so many sequences in a step."""
        table = to_table(scenario)
        workload = {**table["workload"], "global_batch_seqs": batch}
        workload.pop("n_microbatches", None)
        own = {key: value for key, value in table["layout"].items() if key not in OF_ONE_PIPELINE}
        without = {**own, "sharding": "zero3" if own["sharding"] == "hybrid" else own["sharding"]}
        without.pop("shard_group_replicas", None)
        plain, grouped = (
            from_table({**table, "workload": workload, "layout": layout}, scenario.source)
            for layout in (without, own)
        )
        return cls(plain, grouped)

    def with_layout(self, one: dict[str, Any]) -> Scenario:
        """Return the job with a layout.

        Raises
        ------
        ScenarioError
            If it is refused.
        """
        job = self.grouped if one["sharding"] == "hybrid" else self.plain
        return with_changes(job, {f"layout.{key}": value for key, value in one.items()})


def _tried(scenario: Scenario) -> Iterator[dict[str, Any]]:
    """Yield layouts of which a replica fits the smallest pool."""
    layers, experts = scenario.model.depth, scenario.model.experts
    most = min(pool.n_gpus for pool in scenario.pools.values())
    domain = gcd(*(domain_gpus(pool) for pool in scenario.pools.values()))
    pipelines = sorted({*_divisors(layers), *_powers(layers)})
    of_experts = [1] if experts is None else _divisors(experts.n_experts)
    replicas = product(_divisors(domain), pipelines, _powers(MOST_CONTEXT))
    of_pools = [shape for shape in replicas if prod(shape) <= most]
    for shape, expert, sharding in product(of_pools, of_experts, SHARDINGS):
        yield dict(zip(KEYS, (*shape, expert, sharding), strict=True))


def _divisors(n: int) -> list[int]:
    return [one for one in range(1, n + 1) if n % one == 0]


def _powers(most: int) -> list[int]:
    return [2**power for power in range(most.bit_length()) if 2**power <= most]


def _row(one: dict[str, Any], plan: Plan) -> dict[str, Any]:
    return {
        **one,
        "n_replicas": plan.n_replicas,
        "n_microbatches": plan.n_microbatches,
        "memory_bytes": plan.fullest_bytes,
        "noiseless_step_s": plan.noiseless_step_s,
        "noiseless_mfu": plan.peak_step_s / plan.noiseless_step_s,
    }


def _frame(rows: list[dict[str, Any]], simulated: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    of_steps = ("mfu_mean", "step_time_s_p50", "step_time_s_p95")
    frame = pl.DataFrame(rows)
    n_others = len(rows) - simulated.height
    return frame.with_columns(simulated[name].extend_constant(None, n_others) for name in of_steps)
