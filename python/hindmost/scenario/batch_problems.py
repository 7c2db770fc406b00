"""Problems of how a step's sequences are divided among replicas."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from hindmost import _core
from hindmost.errors import Problem
from hindmost.scenario.batch import Batch, batches, is_even
from hindmost.scenario.counts import Counts, is_mixed
from hindmost.scenario.models import Layout, Scenario

MIN_SHARE_OF_REPLICAS = 0.5
"""Share of the replicas that a hint at fewer of them leaves, at least."""


def batch_problems(scenario: Scenario, counts: Counts) -> Iterator[Problem]:
    """Yield the problems of a scenario's batch, of which each replica gets at least a sequence."""
    found = [*_given(scenario), *_of_mixed(scenario)]
    yield from found
    has_replicas = all(pool.n_replicas for pool in counts.pools.values())
    if found or not counts.n_replicas or not (has_replicas or is_mixed(scenario.layout)):
        return
    yield from _division(scenario, counts)


def microbatch_problems(scenario: Scenario, shared: Mapping[str, Batch]) -> Iterator[Problem]:
    """Yield a problem where a pool's number of microbatches does not suit the schedule.

    Parameters
    ----------
    scenario
        The scenario.
    shared
        What the replicas of each pool have of a batch; nothing if it has problems.
    """
    layout, told = scenario.layout, set()
    for name, batch in shared.items():
        path, value = _where(scenario, name)
        count, few = batch.n_microbatches, -(-batch.seqs // batch.microbatch_seqs)
        if (path, count, few) in told:
            continue
        told.add((path, count, few))
        made = f"{count:,}" if few == count else f"{few:,} or {count:,}"
        makes = "" if path.endswith("n_microbatches") else f" (it makes {made})"
        interleaved = layout.pipeline > 1 and layout.schedule == "interleaved"
        if interleaved and (count % layout.pipeline or few % layout.pipeline):
            requirement = (
                f"must make a multiple of {layout.pipeline} microbatches{makes} to be interleaved"
            )
            yield Problem(path=path, requirement=requirement, value=value)
        passes = 3 * layout.pipeline * layout.chunks * count
        if passes > _core.MAX_PASSES:
            requirement = f"must make at most {_core.MAX_PASSES:,} passes of a replica in a step"
            yield Problem(path=path, requirement=requirement, value=passes)


def _where(scenario: Scenario, name: str) -> tuple[str, int]:
    """Return the key path that a pool's number of microbatches comes from, and its value."""
    own = scenario.pools[name].n_microbatches
    if own is not None:
        return f"pools.{name}.n_microbatches", own
    workload = scenario.workload
    if workload.n_microbatches is not None:
        return "workload.n_microbatches", workload.n_microbatches
    return "workload.global_batch_seqs", workload.global_batch_seqs or 0


def _given(scenario: Scenario) -> Iterator[Problem]:
    """Yield a problem where the batch is not given in exactly one way."""
    workload = scenario.workload
    given = workload.n_microbatches, workload.global_batch_seqs
    if given == (None, None):
        pools = scenario.pools.values()
        if not pools or not all(pool.n_microbatches for pool in pools):
            hint = "or give workload.global_batch_seqs"
            yield Problem(path="workload.n_microbatches", requirement="is missing", hint=hint)
    elif None not in given:
        requirement = "must be absent where workload.n_microbatches is given"
        yield Problem(
            path="workload.global_batch_seqs",
            requirement=requirement,
            value=workload.global_batch_seqs,
        )
    if workload.uneven_batch != "refuse" and workload.global_batch_seqs is None:
        requirement = "needs workload.global_batch_seqs, of which something may be left over"
        mode = workload.uneven_batch
        yield Problem(path="workload.uneven_batch", requirement=requirement, value=mode)


def _of_mixed(scenario: Scenario) -> Iterator[Problem]:
    """Yield a problem for each pool with a batch of its own whose replicas reach over pools."""
    if not is_mixed(scenario.layout) or is_even(scenario.pools, scenario.workload):
        return
    requirement = "must be absent where layout.placement is mixed: replicas reach over pools"
    if scenario.workload.uneven_batch != "refuse":
        value = scenario.workload.uneven_batch
        yield Problem(path="workload.uneven_batch", requirement=requirement, value=value)
    for name, pool in scenario.pools.items():
        for key in ("microbatch_seqs", "n_microbatches"):
            if getattr(pool, key) is not None:
                path, own = f"pools.{name}.{key}", getattr(pool, key)
                yield Problem(path=path, requirement=requirement, value=own)


def _division(scenario: Scenario, counts: Counts) -> Iterator[Problem]:
    """Yield a problem where a batch for all replicas cannot be divided among them."""
    workload, pools = scenario.workload, scenario.pools
    n_seqs = workload.global_batch_seqs
    if n_seqs is None:
        return
    path = "workload.global_batch_seqs"
    sharing = [name for name, pool in pools.items() if pool.n_microbatches is None]
    if not sharing:
        requirement = "must be absent where all pools have n_microbatches of their own"
        yield Problem(path=path, requirement=requirement, value=n_seqs)
        return
    n_replicas = {name: counts.pools[name].n_replicas for name in pools}
    sizes = {name: pools[name].microbatch_seqs or workload.microbatch_seqs for name in pools}
    own = sum(
        n_replicas[name] * sizes[name] * (pool.n_microbatches or 0) for name, pool in pools.items()
    )
    per_round = sum(n_replicas[name] * sizes[name] for name in sharing)
    if is_mixed(scenario.layout):
        per_round = counts.n_replicas * workload.microbatch_seqs
    if workload.uneven_batch == "refuse":
        if (n_seqs - own) % per_round or n_seqs <= own:
            yield _not_a_multiple(scenario, counts, n_seqs, own=own, per_round=per_round)
        return
    found = batches(pools, workload, scenario.layout, counts)
    if n_seqs <= own or min(batch.seqs for batch in found.values()) < 1:
        requirement = "must give each replica a sequence, or a microbatch by microbatches"
        fewest = own + per_round
        hint = f"{fewest:,} would do"
        yield Problem(path=path, requirement=requirement, value=n_seqs, hint=hint)
    elif left := n_seqs - sum(batch.all_seqs(n_replicas[name]) for name, batch in found.items()):
        requirement = f"must be whole microbatches, and {left} of its sequences make none"
        hint = f'{n_seqs - left:,} would do, or workload.uneven_batch = "sequences"'
        yield Problem(path=path, requirement=requirement, value=n_seqs, hint=hint)


def _not_a_multiple(
    scenario: Scenario, counts: Counts, n_seqs: int, *, own: int, per_round: int
) -> Problem:
    """Return the problem of a batch that replicas cannot share evenly, and what would do."""
    requirement = f"must be a multiple of {per_round}, the replicas times workload.microbatch_seqs"
    sizes = {pool.microbatch_seqs for pool in scenario.pools.values()}
    if own:
        requirement = (
            f"must be a multiple of {per_round}, the replicas that share it times their "
            f"microbatch_seqs, and {own} more"
        )
    elif sizes != {None}:
        requirement = f"must be a multiple of {per_round}, the replicas times their microbatch_seqs"
    below = own + max(0, n_seqs - own) // per_round * per_round
    near = [str(one) for one in (below, below + per_round) if one > own]
    hint = f"{' or '.join(near)} would do"
    fewer = _fewer_replicas(scenario, counts, n_seqs)
    if fewer is not None:
        hint += f", or layout.n_replicas = {fewer}"
    if not is_mixed(scenario.layout) and n_seqs >= counts.n_replicas:
        hint += ', or workload.uneven_batch = "sequences"'
    return Problem(
        path="workload.global_batch_seqs", requirement=requirement, value=n_seqs, hint=hint
    )


def _fewer_replicas(scenario: Scenario, counts: Counts, n_seqs: int) -> int | None:
    """Return the most replicas that could share a batch, if they are not much fewer."""
    workload = scenario.workload
    if not is_even(scenario.pools, workload) or is_mixed(scenario.layout):
        return None
    n_microbatches, rest = divmod(n_seqs, workload.microbatch_seqs)
    if rest:
        return None
    fewest = math.ceil(MIN_SHARE_OF_REPLICAS * counts.n_replicas)
    for n_replicas in range(counts.n_replicas - 1, fewest - 1, -1):
        if n_microbatches % n_replicas == 0 and _all_have_some(scenario, counts, n_replicas):
            return n_replicas
    return None


def _all_have_some(scenario: Scenario, counts: Counts, n_replicas: int) -> bool:
    """Return whether each pool keeps a replica where only so many are left, the first ones."""
    layout: Layout = scenario.layout.model_copy(update={"n_replicas": n_replicas})
    fewer = Counts.of(scenario.pools, layout, scenario.spares)
    return all(pool.n_replicas for pool in fewer.pools.values())
