"""Mechanisms that a scenario has, each with the change that makes it ideal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from hindmost.cause import Cause
from hindmost.physics.flops import WITH_FLOPS, recomputed_share
from hindmost.plan import Plan
from hindmost.scenario import Changes, Scenario
from hindmost.scenario.ideal import (
    FABRIC_NOISE,
    HOP_NOISE,
    MECHANISMS,
    Mechanism,
    Side,
    mechanism_of,
)

By = Literal["mechanism", "cause", "group"]
"""What shares an attribution: mechanisms, their causes where they have several, or groups of
mechanisms."""


@dataclass(frozen=True, kw_only=True)
class Player:
    """What is made ideal at once.

    Attributes
    ----------
    name : str
        What it is called: a mechanism, ``MECHANISM: CAUSE``, or a group of mechanisms.
    mechanism : str
        The mechanism or the group that it is, or is part of.
    side : str
        What it acts on.
    flags : tuple of str
        Mechanisms that it makes ideal.
    causes : tuple of str
        Causes that it takes away, of a mechanism that it does not make ideal as a whole.
    on_ports : bool
        Whether it takes away causes that change ports from step to step.
    on_runs : bool
        Whether it changes what happens between steps, beside what it does on its side.
    """

    name: str
    mechanism: str
    side: Side
    flags: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    on_ports: bool = False
    on_runs: bool = False


def players(scenario: Scenario, plan: Plan, by: By = "mechanism") -> list[Player]:
    """Return the players of a scenario, those that act on ranks first, those between steps last.

    Parameters
    ----------
    scenario, plan
        The scenario and its plan.
    by
        What they are.
    """
    causes = _causes(scenario)
    there = [one for one in MECHANISMS if _is_there(one, scenario, plan, causes)]
    if by == "group":
        return _groups(there, causes)
    found = []
    for one in there:
        own = _of_mechanism(one.name, causes)
        if by == "cause" and len(own) > 1:
            found += [
                Player(
                    name=f"{one.name}: {name}",
                    mechanism=one.name,
                    side=one.side,
                    causes=(name,),
                    on_ports=_is_on_ports(one.name, [(name, cause)]),
                )
                for name, cause in own
            ]
        else:
            on_ports = _is_on_ports(one.name, own)
            found.append(
                Player(
                    name=one.name,
                    mechanism=one.name,
                    side=one.side,
                    flags=(one.name,),
                    on_ports=on_ports,
                    on_runs=one.is_of_runs,
                )
            )
    return found


def changes_of(scenario: Scenario, coalition: Iterable[Player]) -> Changes:
    """Return the changes that make some players ideal, beside what is ideal in a scenario."""
    changes: dict[str, Any] = {}
    causes: list[str] = []
    for player in coalition:
        changes |= {f"ideal.{flag}": True for flag in player.flags}
        causes += player.causes
    if causes:
        changes["ideal.causes"] = [*scenario.ideals.causes, *causes]
    return changes


def _groups(there: list[Mechanism], causes: dict[str, Cause | None]) -> list[Player]:
    found: dict[str, list[Mechanism]] = {}
    for one in there:
        found.setdefault(one.group, []).append(one)
    return [
        Player(
            name=group,
            mechanism=group,
            side=members[0].side,
            flags=tuple(one.name for one in members),
            on_ports=any(
                _is_on_ports(one.name, _of_mechanism(one.name, causes)) for one in members
            ),
            on_runs=any(one.is_of_runs for one in members),
        )
        for group, members in found.items()
    ]


def _causes(scenario: Scenario) -> dict[str, Cause | None]:
    """Return the causes that act, by name, the noise of the fabric and of its hops among them."""
    causes: dict[str, Cause | None] = dict(scenario.acting_causes)
    if scenario.acting_noise is not None:
        causes[FABRIC_NOISE] = scenario.acting_noise
    if scenario.acting_hop_noise is not None:
        causes[HOP_NOISE] = None
    return causes


def _of_mechanism(
    mechanism: str, causes: dict[str, Cause | None]
) -> list[tuple[str, Cause | None]]:
    def belongs(cause: Cause | None) -> bool:
        return mechanism == ("network_noise" if cause is None else mechanism_of(cause))

    return [(name, cause) for name, cause in causes.items() if belongs(cause)]


def _is_on_ports(mechanism: str, own: list[tuple[str, Cause | None]]) -> bool:
    if mechanism == "network_noise":
        return True
    return any(cause is not None and cause.affects == "network" for _, cause in own)


def _is_there(
    one: Mechanism, scenario: Scenario, plan: Plan, causes: dict[str, Cause | None]
) -> bool:
    """Return whether a mechanism can change anything in a scenario, whatever else is ideal."""
    if getattr(scenario.ideals, one.name):
        return False
    layout, workload = scenario.layout, scenario.workload
    has_terms = any(pool.terms for pool in plan.pools)
    match one.name:
        case "mixed_generations":
            return sum(pool.n_ranks > 0 for pool in plan.pools) > 1
        case "kernel_efficiency":
            return True
        case "software_mismatch":
            # Measured passes are those of the software.
            pools = [pool for pool in scenario.pools.values() if pool.forward_s is None]
            return any(pool.software_efficiency != 1 for pool in pools)
        case "exchange_inside":
            return max(layout.tensor, layout.context, layout.expert, layout.pipeline) > 1
        case "recompute_and_overhead":
            modules = set(workload.recompute_modules) & set(WITH_FLOPS)
            again = recomputed_share(workload.recompute) > 0 or bool(modules)
            moves = workload.offload_optimizer or workload.offload_layers is not None
            return again or moves or workload.overhead_s > 0
        case "stage_imbalance" | "pipeline_bubble":
            return layout.pipeline > 1
        case "collective_latency" | "collective_bandwidth":
            return has_terms
        case "network_noise":
            return has_terms and bool(_of_mechanism(one.name, causes))
        case "sequence_imbalance":
            of_context = layout.context_split == "contiguous" and layout.context > 1
            return (
                (of_context and workload.attention == "causal")
                or workload.uneven_batch != "refuse"
                or workload.document_tokens is not None
                or bool(_of_mechanism(one.name, causes))
            )
        case "power_smoothing":
            has_failures = bool(scenario.enabled_failures)
            return any(
                one.seconds_per_transition > 0 or (has_failures and one.failures_per_transition > 0)
                for one in scenario.acting_smoothing.values()
            )
        case "failures" | "idle":
            return bool(scenario.enabled_failures)
        case _:
            assert one.is_of_causes, f"nothing says when a scenario has {one.name}"
            return bool(_of_mechanism(one.name, causes))
