"""Problems of causes, with each other and with the job."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from hindmost import _core
from hindmost.cause import SECONDS_PER_HOUR, Cause
from hindmost.errors import Problem, did_you_mean
from hindmost.scenario.batch import Batch
from hindmost.scenario.counts import Counts, is_mixed, numbered_gpus, replica_gpus
from hindmost.scenario.models import Scenario

WITHIN_STEP = ("microbatch", "layer")
"""Spans of causes that change within a step."""

DRIFTING_SCOPES = ("node", "pool", "cluster")
"""Scopes whose units may drift."""

EPISODE_SCOPES = ("gpu", "node", "domain", "rack")
"""Scopes whose units may be slow for a while."""


def cause_problems(
    scenario: Scenario, counts: Counts, shared: Mapping[str, Batch]
) -> Iterator[Problem]:
    """Yield the problems of causes and of the fabric's noise.

    Parameters
    ----------
    scenario, counts
        The scenario and its counts.
    shared
        What the replicas of each pool have of a batch; nothing if it has problems.
    """
    for name, cause in scenario.enabled_causes.items():
        yield from _cause(scenario, f"causes.{name}", cause, counts)
        if cause.span in WITHIN_STEP:
            path = f"causes.{name}.span"
            yield from _within_step_counts(scenario, path, cause.span, counts, shared)
    noise = scenario.noise
    if noise is not None:
        yield from _cause(scenario, "fabric.noise", noise, counts)
        if noise.span in WITHIN_STEP:
            path = "fabric.noise.span"
            yield from _within_step_counts(scenario, path, noise.span, counts, shared)
        if noise.affects != "network":
            yield Problem(
                path="fabric.noise.affects", requirement="must be network", value=noise.affects
            )
    for name, key in (("fabric-noise", "fabric.noise"), ("fabric-hops", "fabric.hop_noise")):
        if name in scenario.causes:
            hint = f"it is the address of {key}; choose another name"
            yield Problem(path=f"causes.{name}", requirement="must not be a cause", hint=hint)


def _cause(scenario: Scenario, path: str, cause: Cause, counts: Counts) -> Iterator[Problem]:
    pools = list(scenario.pools) if cause.pools is None else cause.pools
    if cause.pools == []:
        yield Problem(path=f"{path}.pools", requirement="must name at least one pool")
    for pool in pools:
        if pool not in scenario.pools:
            hint = did_you_mean(pool, scenario.pools)
            requirement = "must name pools of this scenario"
            yield Problem(path=f"{path}.pools", requirement=requirement, value=pool, hint=hint)
        elif cause.scope == "rack" and scenario.pools[pool].rack_gpus is None:
            requirement = f"is missing, and {path} has scope rack"
            yield Problem(path=f"pools.{pool}.rack_gpus", requirement=requirement)
    yield from _rate(path, cause)
    yield from _period(path, cause)
    yield from _drift(scenario, path, cause)
    yield from _episode(path, cause)
    yield from _trend(path, cause)
    if cause.unit_ranges is not None:
        yield from _named_units(scenario, path, cause, cause.unit_ranges, counts)
    if cause.span in WITHIN_STEP:
        yield from _within_step(scenario, path, cause)
    if scenario.layout.placement == "mixed" and cause.scope == "replica":
        everywhere = cause.pools is None or set(cause.pools) >= set(scenario.pools)
        if cause.span != "microbatch" or not everywhere:
            requirement = (
                "must not be replica where layout.placement is mixed, but for causes of span "
                "microbatch that act in all pools"
            )
            yield Problem(path=f"{path}.scope", requirement=requirement, value=cause.scope)


def _rate(path: str, cause: Cause) -> Iterator[Problem]:
    """Yield a problem where it is not clear how often a cause occurs in a step."""
    if cause.per_hour is None:
        return
    value = cause.per_hour
    if cause.probability is not None:
        requirement = "must be left out where probability is given"
        hint = "probability is that of one draw, and per_hour becomes one of a step"
        yield Problem(path=f"{path}.per_hour", requirement=requirement, value=value, hint=hint)
    if cause.span not in ("step", "episode"):
        requirement = f"must be left out where span is {cause.span}"
        hint = "give probability, that of one draw"
        if cause.span == "drift":
            hint = "what drifts acts in every step"
        yield Problem(path=f"{path}.per_hour", requirement=requirement, value=value, hint=hint)


def _period(path: str, cause: Cause) -> Iterator[Problem]:
    """Yield a problem where it is not clear in which steps a cause comes."""
    if cause.period_steps is None:
        if cause.phase_steps is not None:
            requirement = f"is missing, and {path}.phase_steps is given"
            yield Problem(path=f"{path}.period_steps", requirement=requirement)
        return
    value = cause.period_steps
    if cause.per_hour is not None:
        requirement = f"must be left out where {path}.period_steps is given"
        hint = "what comes regularly has no rate; probability is that of a step in which it may"
        yield Problem(
            path=f"{path}.per_hour", requirement=requirement, value=cause.per_hour, hint=hint
        )
    if cause.span == "run":
        requirement = "must be left out where span is run, which has one draw for all steps"
        yield Problem(path=f"{path}.period_steps", requirement=requirement, value=value)
    if cause.span == "drift" and value != 1:
        requirement = "must be left out where span is drift, which acts in every step"
        yield Problem(path=f"{path}.period_steps", requirement=requirement, value=value)
    if isinstance(cause.phase_steps, int) and cause.phase_steps >= value:
        requirement = f"must be < {value:,}, the period"
        yield Problem(path=f"{path}.phase_steps", requirement=requirement, value=cause.phase_steps)


def _episode(path: str, cause: Cause) -> Iterator[Problem]:
    """Yield a problem where a cause cannot come in episodes, or has durations and does not."""
    if cause.span != "episode":
        if cause.duration is not None:
            requirement = f"must be left out where span is {cause.span}"
            hint = 'span = "episode" has one'
            yield Problem(path=f"{path}.duration", requirement=requirement, hint=hint)
        return
    for key, what in (
        ("per_hour", "how many begin in an hour"),
        ("duration", "how long they last"),
    ):
        if getattr(cause, key) is None:
            requirement = f"is missing, and {path} has span episode"
            yield Problem(path=f"{path}.{key}", requirement=requirement, hint=f"it says {what}")
    if cause.probability is not None:
        requirement = "must be left out where span is episode"
        hint = "per_hour says how many begin"
        yield Problem(
            path=f"{path}.probability", requirement=requirement, value=cause.probability, hint=hint
        )
    if cause.period_steps is not None:
        requirement = "must be left out where span is episode, which may begin in any step"
        yield Problem(
            path=f"{path}.period_steps", requirement=requirement, value=cause.period_steps
        )
    if cause.effect != "slowdown":
        requirement = "must be slowdown where span is episode"
        hint = "stalls of span step with a rate come at any time"
        yield Problem(path=f"{path}.effect", requirement=requirement, value=cause.effect, hint=hint)
    if cause.scope not in EPISODE_SCOPES:
        scopes = f"{', '.join(EPISODE_SCOPES[:-1])} or {EPISODE_SCOPES[-1]}"
        requirement = f"must be {scopes} where span is episode"
        yield Problem(path=f"{path}.scope", requirement=requirement, value=cause.scope)
    if cause.duration is None or cause.per_hour is None:
        return
    mean_s = cause.duration.core.mean()
    if not (0 < mean_s < math.inf):
        requirement = "must have a finite mean > 0 where span is episode"
        yield Problem(path=f"{path}.duration", requirement=requirement, hint="a cap would do")
    elif cause.episodes_at_a_time > 1:
        most = SECONDS_PER_HOUR / mean_s
        requirement = f"must be at most {most:.6g}: more episodes of {mean_s:.6g} s would overlap"
        hint = "what is always there lasts a run or drifts"
        yield Problem(
            path=f"{path}.per_hour", requirement=requirement, value=cause.per_hour, hint=hint
        )


def _drift(scenario: Scenario, path: str, cause: Cause) -> Iterator[Problem]:
    """Yield a problem where a cause cannot drift, or has a correlation time and does not."""
    given = cause.correlation_s
    if cause.span != "drift":
        if given is not None:
            requirement = f"must be left out where span is {cause.span}"
            hint = 'span = "drift" has one'
            yield Problem(
                path=f"{path}.correlation_s", requirement=requirement, value=given, hint=hint
            )
        return
    if given is None:
        requirement = f"is missing, and {path} has span drift"
        yield Problem(path=f"{path}.correlation_s", requirement=requirement)
    if cause.scope not in DRIFTING_SCOPES:
        requirement = "must be node, pool or cluster where span is drift"
        hint = "draws for each step (span step) or for a whole run have all scopes"
        yield Problem(path=f"{path}.scope", requirement=requirement, value=cause.scope, hint=hint)
    if cause.probability not in (None, 1):
        requirement = "must be left out where span is drift"
        hint = "what drifts acts in every step"
        yield Problem(
            path=f"{path}.probability", requirement=requirement, value=cause.probability, hint=hint
        )
    if len(cause.law.core.weights()) > 1:
        requirement = "must be one law where span is drift"
        hint = "each draw would choose a law by itself; samples of an empirical law drift"
        yield Problem(
            path=f"{path}.law.name", requirement=requirement, value=cause.law.name, hint=hint
        )
    watchdog_s = scenario.watchdog_s
    if cause.effect == "stall" and watchdog_s is not None and cause.law.sf(watchdog_s) > 0:
        requirement = (
            f"must not exceed recovery.watchdog_s ({watchdog_s:g} s) where span is drift: failures "
            "would come one after another"
        )
        hint = f"cap = {watchdog_s:g}"
        yield Problem(path=f"{path}.law", requirement=requirement, hint=hint)


def _trend(path: str, cause: Cause) -> Iterator[Problem]:
    """Yield a problem where a cause has no factor that could grow from step to step."""
    if cause.trend_per_hour is None:
        return
    for key, known, hint in (
        ("effect", ("slowdown",), "seconds do not grow"),
        ("scope", ("pool", "cluster"), "what all ranks of a pool share grows"),
        ("span", ("step", "drift"), 'a law of one value needs no other span than "step"'),
    ):
        value = getattr(cause, key)
        if value not in known:
            requirement = f"must be {' or '.join(known)} where {path}.trend_per_hour is given"
            yield Problem(path=f"{path}.{key}", requirement=requirement, value=value, hint=hint)
    given = {
        "probability": cause.probability if cause.probability not in (None, 1) else None,
        "per_hour": cause.per_hour,
        "period_steps": cause.period_steps if cause.period_steps not in (None, 1) else None,
    }
    for key, value in given.items():
        if value is not None:
            requirement = f"must be left out where {path}.trend_per_hour is given"
            hint = "what grows acts in every step"
            yield Problem(path=f"{path}.{key}", requirement=requirement, value=value, hint=hint)


def _named_units(
    scenario: Scenario, path: str, cause: Cause, ranges: list[tuple[int, int]], counts: Counts
) -> Iterator[Problem]:
    """Yield a problem where a cause names units that there are not."""
    pools = list(dict.fromkeys(scenario.pools if cause.pools is None else cause.pools))
    if len(pools) != 1:
        requirement = f"must name one pool, in which {path}.units are counted"
        hint = f"there is {', '.join(scenario.pools)}"
        yield Problem(path=f"{path}.pools", requirement=requirement, value=cause.pools, hint=hint)
        return
    (name,) = pools
    pool = scenario.pools.get(name)
    if pool is None:
        return
    if cause.scope in ("pool", "cluster"):
        requirement = f"must be left out where scope is {cause.scope}, which is one unit"
        yield Problem(path=f"{path}.units", requirement=requirement, value=cause.units)
        return
    if cause.scope == "replica" and is_mixed(scenario.layout):
        requirement = "must be left out where scope is replica and layout.placement is mixed"
        yield Problem(path=f"{path}.units", requirement=requirement, value=cause.units)
        return
    sizes = {
        "gpu": 1,
        "node": pool.accelerator.node_gpus,
        "domain": pool.accelerator.domain_gpus,
        "rack": pool.rack_gpus,
    }
    if cause.scope == "replica":
        n_units = counts.pools[name].n_replicas
    else:
        size = sizes[cause.scope]
        if size is None:
            return
        n_units = -(-numbered_gpus(pool) // size)
    last = max(last for _, last in ranges)
    if last >= n_units:
        requirement = f"must be numbers below {n_units:,}, those of a {cause.scope} of pool {name}"
        yield Problem(path=f"{path}.units", requirement=requirement, value=last)


def _within_step(scenario: Scenario, path: str, cause: Cause) -> Iterator[Problem]:
    """Yield a problem where a cause cannot change within a step."""
    if cause.affects == "network":
        requirement = "must be run, drift or step where affects is network"
        yield Problem(path=f"{path}.span", requirement=requirement, value=cause.span)
    if cause.effect == "stall" and cause.span == "layer":
        requirement = "must not be layer where effect is stall"
        yield Problem(path=f"{path}.span", requirement=requirement, value=cause.span)
    elif cause.effect == "stall" and cause.scope in ("node", "domain", "rack"):
        requirement = "must be gpu, replica, pool or cluster for a stall of span microbatch"
        yield Problem(path=f"{path}.scope", requirement=requirement, value=cause.scope)
    elif cause.effect == "stall" and scenario.layout.placement == "mixed":
        partly = cause.pools is not None and not set(cause.pools) >= set(scenario.pools)
        if cause.scope == "pool" or (cause.scope == "cluster" and partly):
            requirement = (
                "must be gpu, replica, or cluster in all pools for a stall of span microbatch "
                "where layout.placement is mixed"
            )
            yield Problem(path=f"{path}.scope", requirement=requirement, value=cause.scope)


def document_problems(
    scenario: Scenario, counts: Counts, shared: Mapping[str, Batch]
) -> Iterator[Problem]:
    """Yield the problems of documents, which make microbatches unlike each other."""
    if scenario.workload.document_tokens is not None:
        path = "workload.document_tokens"
        yield from _within_step_counts(scenario, path, "microbatch", counts, shared)


def _within_step_counts(
    scenario: Scenario, path: str, span: str, counts: Counts, shared: Mapping[str, Batch]
) -> Iterator[Problem]:
    """Yield a problem where what changes within a step takes too many ranks or draws.

    Parameters
    ----------
    scenario, counts, shared
        As of `cause_problems`.
    path
        Key path of what changes.
    span
        microbatch or layer.
    """
    if not shared:
        return
    gang_ranks = counts.gang_replicas * replica_gpus(scenario.layout)
    if gang_ranks > _core.MAX_GANG_RANKS:
        requirement = (
            f"must not be {span} where more than {_core.MAX_GANG_RANKS:,} ranks wait for "
            "each other in every layer"
        )
        if not path.endswith(".span"):
            requirement = (
                f"must be absent where more than {_core.MAX_GANG_RANKS:,} ranks wait for each "
                "other in every layer: it differs from microbatch to microbatch"
            )
        yield Problem(path=path, requirement=requirement, value=gang_ranks)
    indices = max(batch.n_microbatches for batch in shared.values())
    if span == "layer":
        indices *= 2 * scenario.model.depth
    if indices > _core.MAX_INDICES:
        requirement = f"must make at most {_core.MAX_INDICES:,} draws of a GPU in a step"
        yield Problem(path=path, requirement=requirement, value=indices)
