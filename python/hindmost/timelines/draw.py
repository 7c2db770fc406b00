"""Drawing of one step as a timeline."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hindmost import _core
from hindmost.arguments import (
    MAX_RUNS,
    MAX_STEPS,
    as_int,
    available_threads,
    bounds,
    drawn_seed,
    refuse,
    seed_problems,
    thread_problems,
)
from hindmost.compiled import Compiled, scenario_of
from hindmost.engines import Progress, counting
from hindmost.errors import Problem
from hindmost.physics.terms import Phase
from hindmost.plan.core_arguments import NOISE, PACKS, UNEQUAL
from hindmost.scenario import Changes, Counts, Scenario
from hindmost.scenario.counts import is_mixed
from hindmost.scenario.smoothing import SMOOTHING
from hindmost.timelines.timeline import (
    MOST_PASSES,
    ROUNDING,
    Computing,
    Effect,
    Exchange,
    Pass,
    ReplicaTimeline,
    Role,
    Stage,
    Timeline,
)

NEUTRAL_SLOWDOWN = 1e-6
"""Slowdowns closer to 1 are left out of what slows a GPU."""

WAITING_INSIDE = "waits within the step"
"""What slows a stage beyond the rank that works longest."""


def timeline(
    scenario: Scenario | str | Path,
    *,
    step: int = 0,
    run: int = 0,
    seed: int | None = None,
    threads: int | None = None,
    changes: Changes | None = None,
    progress: Progress | None = None,
) -> Timeline:
    """Return one step of a scenario in detail: who computes what when, and who waits for whom.

    Parameters
    ----------
    scenario, changes
        As in `simulate`.
    step, run
        Which step of which run, both counted from 0.
    seed
        0 to 2^64 - 1; drawn from the operating system by default.
    threads
        Threads; by default as many as this process may use.
    progress
        Called with the draws done and all draws.

    Returns
    -------
    Timeline
        The slowest replica, one with the median time and the fastest one, pass by pass; what
        replicas exchange; and when how many of them wait. `Timeline.write` makes a trace of it.

    Raises
    ------
    ScenarioError
        With every problem of the scenario or the call.

    Notes
    -----
    Ranks are drawn as by ``simulate(..., method="sample")`` under an equal seed: the timeline ends
    at that result's ``step_time_s`` of this run and step.

    The model knows how long collectives between replicas take, how much of that compute hides, and
    with which passes they come, but not where between passes single buckets stand. What is exposed
    of those of forward passes is drawn before all passes, and of those of backward passes after
    them.

    Examples
    --------
    >>> import hindmost as hm
    >>> found = hm.timeline("h100-1k", step=17, seed=1)
    >>> [one.role for one in found.replicas]
    ['slowest', 'median', 'fastest']
    """
    step, run, seed, threads = (as_int(each) for each in (step, run, seed, threads))
    compiled = Compiled(scenario_of(scenario, changes))
    seed = drawn_seed() if seed is None else seed
    threads = available_threads() if threads is None else threads
    refuse(
        [
            *step_problems(step, run),
            *seed_problems(seed),
            *thread_problems(threads),
            *_pass_problems(compiled),
        ]
    )
    found = _core.one_step(
        compiled.core,
        seed=seed,
        run=run,
        step=step,
        threads=threads,
        progress=counting(progress, 4 * compiled.core.draws_per_step),
    )
    return _Drawing(compiled, found, seed=seed, run=run, step=step, threads=threads).timeline()


def step_problems(step: int, run: int) -> list[Problem]:
    """Return the problems of the numbers of a step and its run."""
    return [*bounds("step", step, 0, MAX_STEPS - 1), *bounds("run", run, 0, MAX_RUNS - 1)]


def _pass_problems(compiled: Compiled) -> list[Problem]:
    """Return the problem of a replica with more passes in a step than a trace can hold."""
    workload, layout = compiled.scenario.workload, compiled.scenario.layout
    directions = 3 if layout.schedule == "zero-bubble" and layout.pipeline > 1 else 2
    stages = layout.pipeline * layout.chunks
    n_passes = directions * stages * compiled.plan.n_microbatches
    if n_passes <= MOST_PASSES:
        return []
    key = "n_microbatches" if workload.n_microbatches is not None else "global_batch_seqs"
    return [
        Problem(
            path=f"workload.{key}",
            requirement=(
                f"makes {n_passes:,} passes of a replica in a step, and a trace holds "
                f"{MOST_PASSES:,}"
            ),
            hint="fewer microbatches show the same schedule",
        )
    ]


class _Drawing:
    """A sampled step that is made into a timeline."""

    def __init__(
        self,
        compiled: Compiled,
        found: _core.OneStep,
        *,
        seed: int,
        run: int,
        step: int,
        threads: int,
    ) -> None:
        self._compiled = compiled
        self._scenario = compiled.scenario
        self._plan = compiled.plan
        self._pipeline = compiled.plan.arguments["pipeline"]
        self._found = found
        self._which = {"seed": seed, "run": run, "step": step}
        self._threads = threads

    def timeline(self) -> Timeline:
        found, plan = self._found, self._plan
        slowest = found["slowest"]
        exchanges = self._exchanges()
        compute_s = float(found["compute_s"][slowest])
        exposed_s = sum(one.exposed_s for one in exchanges)
        slow_port, stalled_port = self._ports()
        return Timeline(
            scenario=self._scenario,
            **self._which,
            step_time_s=compute_s + exposed_s,
            compute_s=compute_s,
            exposed_comm_s=exposed_s,
            stall_s=float(found["stall_s"][slowest]),
            n_replicas=plan.n_replicas,
            replicas=tuple(self._replicas()),
            exchanges=exchanges,
            slow_port=slow_port,
            stalled_port=stalled_port,
            computing={pool.name: self._computing(place) for place, pool in enumerate(plan.pools)},
            has_transfers=self._pipeline is not None and self._pipeline["kind"] != "bubble-free",
        )

    @property
    def _gang_replicas(self) -> int:
        return 1 if self._pipeline is None else int(self._pipeline["gang_replicas"])

    def _wait_s(self, place: int) -> float:
        """Return by how much sooner the step would end with one of its replicas."""
        durations_s = self._found["duration_s"]
        longest_s = float(durations_s[self._found["slowest"]])
        wait_s = longest_s - float(durations_s[place])
        return wait_s if wait_s > ROUNDING * longest_s else 0.0

    def _computing(self, pool: int) -> tuple[Computing, ...]:
        """Return when the replicas of a pool have computed."""
        found, name = self._found, self._plan.pools[pool].name
        return tuple(
            sorted(
                Computing(float(found["end_s"][place]), self._wait_s(place), last + 1 - first)
                for place in np.flatnonzero(found["pool"] == pool).tolist()
                for first, last in [self._numbers(name, int(found["replica"][place]))]
            )
        )

    def _numbers(self, pool: str, gang: int) -> tuple[int, int]:
        """Return the first and the last replica of those that wait for each other."""
        of_gang = self._gang_replicas
        first = gang * of_gang
        return first, min(first + of_gang, self._replicas_of[pool]) - 1

    @cached_property
    def _replicas_of(self) -> dict[str, int]:
        """Replicas that are numbered together with those of each pool."""
        scenario = self._scenario
        if is_mixed(scenario.layout):
            return dict.fromkeys(scenario.pools, self._plan.n_replicas)
        counts = Counts.of(scenario.pools, scenario.layout, scenario.spares)
        return {name: pool.n_replicas for name, pool in counts.pools.items()}

    def _replicas(self) -> list[ReplicaTimeline]:
        """Return the slowest replica, one with the median time and the fastest one."""
        found = self._found
        durations_s, slowest = found["duration_s"], found["slowest"]
        # A stable order, so that of equals the first is taken.
        order = np.argsort(durations_s, kind="stable")
        fastest, median = int(order[0]), int(order[(len(order) - 1) // 2])
        chosen: dict[int, Role] = {slowest: "slowest"}
        if durations_s[fastest] < durations_s[slowest]:
            if durations_s[fastest] < durations_s[median] < durations_s[slowest]:
                chosen[median] = "median"
            chosen[fastest] = "fastest"
        if self._pipeline is None:
            return [self._of_barrier(place, role) for place, role in chosen.items()]
        gangs = [(int(found["pool"][place]), int(found["replica"][place])) for place in chosen]
        passes = _core.gang_passes(
            self._compiled.core, **self._which, gangs=gangs, threads=self._threads
        )
        chosen_passes = zip(chosen.items(), passes, strict=True)
        return [self._of_gang(place, role, each) for (place, role), each in chosen_passes]

    def _of_barrier(self, place: int, role: Role) -> ReplicaTimeline:
        """Return a replica whose ranks work for a whole step, each for itself.

        It goes at the pace of one rank, whose passes all have its slowdown and come after its
        stalls.
        """
        found = self._found
        pool = int(found["pool"][place])
        compute_s, stall_s = float(found["compute_s"][place]), float(found["stall_s"][place])
        at = pool, int(found["gpu"][place])
        stage_s = self._plan.pools[pool].compute.stages[0]
        overhead_s = self._plan.pools[pool].compute.overhead_s
        n_microbatches = self._plan.n_microbatches
        slowdown = (compute_s - stall_s) / (n_microbatches * stage_s.total_s + overhead_s)
        passes: list[Pass] = []
        at_s = 0.0
        for microbatch in range(n_microbatches):
            for direction, seconds in (
                ("forward", stage_s.forward_s),
                ("backward", stage_s.backward_s + stage_s.weight_s),
            ):
                begins_s = at_s if passes else stall_s
                ends_s = begins_s + slowdown * seconds
                passes.append(
                    Pass(0, direction, microbatch, 0, at_s, begins_s, ends_s, slowdown),
                )
                at_s = ends_s
        effects = self._effects(at)
        stage = self._stage(
            at,
            slowdown=slowdown,
            effects=effects.slowdowns,
            stall_s=stall_s,
            stalls=effects.stalls,
            overhead_s=slowdown * overhead_s,
        )
        return self._replica(place, role, stages=(stage,), passes=tuple(passes))

    def _of_gang(self, place: int, role: Role, found: _core.GangPasses) -> ReplicaTimeline:
        """Return a replica with stages, or replicas that wait for each other within a step."""
        passes = tuple(
            Pass(stage, direction, microbatch, chunk, *times)
            for (stage, direction, microbatch, chunk), *times in found["passes"]
        )
        stages = []
        for number, (slowest, (stall_s, stalled), overhead_s) in enumerate(found["stages"]):
            own = [one for one in passes if one.stage == number]
            took_s = sum(one.ends_s - one.begins_s for one in own)
            noiseless_s = sum((one.ends_s - one.begins_s) / one.slowdown for one in own)
            slowdown = took_s / noiseless_s if noiseless_s else 1.0
            effects = list(self._effects(slowest).slowdowns)
            of_rank = math.prod(one.slowdown for one in effects)
            if noiseless_s and slowdown > of_rank * (1 + 1e3 * NEUTRAL_SLOWDOWN):
                effects.append(Effect(WAITING_INSIDE, slowdown / of_rank, 0.0))
            stage = self._stage(
                slowest,
                slowdown=slowdown,
                effects=tuple(effects),
                stall_s=stall_s,
                stalls=self._effects(stalled).stalls if stall_s else (),
                overhead_s=overhead_s,
            )
            stages.append(stage)
        step_stall_s, stalled = found["step_stall"]
        whole_stalls = self._effects(stalled).whole_stalls if step_stall_s else ()
        if found["microbatch_stall_s"]:
            # The whole gang shares them: any of its GPUs tells them.
            whole_stalls += self._effects(found["stages"][0][0]).whole_pass_stalls
        return self._replica(
            place,
            role,
            stages=tuple(stages),
            passes=passes,
            whole_stall_s=step_stall_s + found["microbatch_stall_s"],
            whole_stalls=whole_stalls,
        )

    def _replica(
        self,
        place: int,
        role: Role,
        *,
        stages: tuple[Stage, ...],
        passes: tuple[Pass, ...],
        whole_stall_s: float = 0.0,
        whole_stalls: tuple[Effect, ...] = (),
    ) -> ReplicaTimeline:
        found = self._found
        pool = self._plan.pools[int(found["pool"][place])].name
        first, last = self._numbers(pool, int(found["replica"][place]))
        return ReplicaTimeline(
            role=role,
            pool=pool,
            first=first,
            last=last,
            compute_s=float(found["compute_s"][place]),
            stall_s=float(found["stall_s"][place]),
            wait_s=self._wait_s(place),
            whole_stall_s=whole_stall_s,
            whole_stalls=whole_stalls,
            stages=stages,
            passes=passes,
        )

    def _stage(
        self,
        at: tuple[int, int],
        *,
        slowdown: float,
        effects: tuple[Effect, ...],
        stall_s: float,
        stalls: tuple[Effect, ...],
        overhead_s: float,
    ) -> Stage:
        """Return a stage whose longest working rank is on a GPU."""
        pool, gpu = at
        name = self._plan.pools[pool].name
        return Stage(
            pool=name,
            gpu=gpu,
            node=gpu // self._scenario.pools[name].accelerator.node_gpus,
            slowdown=slowdown,
            effects=effects,
            stall_s=stall_s,
            stalls=stalls,
            pass_stalls=self._pass_stalls(pool),
            overhead_s=overhead_s,
        )

    def _pass_stalls(self, pool: int) -> tuple[str, ...]:
        """Return the causes that may stop one stage before any pass in a pool."""
        return tuple(
            cause["name"]
            for cause in self._plan.arguments["causes"]
            if cause["span"] == "microbatch"
            and cause["effect"] == "stall"
            and pool in cause["pools"]
            and not self._stops_all_stages(cause)
        )

    def _stops_all_stages(self, cause: dict[str, Any]) -> bool:
        """Return whether a cause that changes by microbatch stops replicas as a whole."""
        is_spread = is_mixed(self._scenario.layout)
        match cause["scope"]:
            case "pool":
                return not is_spread
            case "cluster":
                return not is_spread or len(cause["pools"]) == len(self._plan.pools)
            case "replica":
                return self._gang_replicas == 1
            case _:
                return False

    def _effects(self, at: tuple[int, int]) -> _Effects:
        """Return what causes do to a GPU in the step, the greatest first."""
        pool, gpu = at
        core = self._compiled.core
        found = _core.gpu_effects(core, **self._which, pool=pool, gpu=gpu)
        kinds: dict[str, list[Effect]] = {name: [] for name in _Effects._fields}
        for name, value, is_stall, is_within, stops_all in found:
            words = _cause_in_words(name)
            if not is_stall:
                if abs(value - 1) >= NEUTRAL_SLOWDOWN:
                    kinds["slowdowns"].append(Effect(words, value, 0.0))
                continue
            kind = "pass_stalls" if is_within else "stalls"
            kinds[f"whole_{kind}" if stops_all else kind].append(Effect(words, 1.0, value))
        for effects in kinds.values():
            effects.sort(key=lambda one: (-one.stall_s, -one.slowdown))
        return _Effects(**{name: tuple(effects) for name, effects in kinds.items()})

    def _exchanges(self) -> tuple[Exchange, ...]:
        found = self._found
        times = zip(found["waiting_s"], found["hidden_s"], found["cost_s"], strict=True)
        phases = [term.phase for term in self._plan.pools[0].terms]
        return tuple(
            Exchange(
                _named(phase, self._scenario.layout.sharding),
                phase in ("first forward", "forward"),
                *map(float, seconds),
            )
            for phase, seconds in zip(phases, times, strict=True)
        )

    def _ports(self) -> tuple[str, str]:
        """Say what the worst ports do, and by what causes; nothing where none acts on them."""
        slowdowns, stalls = self._found["port_slowdown"], self._found["port_stall_s"]
        slow = stalled = ""
        if len(slowdowns) and slowdowns.max() > 1:
            place = int(slowdowns.argmax())
            causes = self._port_causes(place, "slowdown")
            slow = f"{self._port(place)} {slowdowns[place]:.4g} x slower ({causes})"
        if len(stalls) and stalls.max() > 0:
            place = int(stalls.argmax())
            causes = self._port_causes(place, "stall")
            stalled = f"{self._port(place)} stalls {stalls[place]:.3g} s ({causes})"
        return slow, stalled

    def _port(self, pool: int) -> str:
        return f"a port of {self._plan.pools[pool].name}"

    def _port_causes(self, pool: int, effect: str) -> str:
        """Return the names of causes that act on the ports of a pool."""
        return ", ".join(
            _cause_in_words(cause["name"])
            for cause in self._plan.arguments["causes"]
            if cause["affects"] == "network"
            and cause["effect"] == effect
            and pool in cause["pools"]
        )


class _Effects(NamedTuple):
    """What causes do to a GPU in a step."""

    slowdowns: tuple[Effect, ...]
    """What slows it, on average over the step."""
    stalls: tuple[Effect, ...]
    """What stalls it for the step, and no other stage of its replica."""
    pass_stalls: tuple[Effect, ...]
    """What stalls it before passes, and no other stage."""
    whole_stalls: tuple[Effect, ...]
    """What stalls all stages of its replica for the step."""
    whole_pass_stalls: tuple[Effect, ...]
    """What stalls all stages of its replica in microbatches."""


def _cause_in_words(name: str) -> str:
    """Return the name of a cause as reports have it: some are made for the core alone."""
    if name == NOISE:
        return "fabric.noise"
    if name.startswith(f"{UNEQUAL}-"):
        return "more sequences than other replicas"
    if name.startswith(f"{SMOOTHING}-"):
        return "smoothing of power"
    if name == PACKS or name.startswith(f"{PACKS}-"):
        return "documents of its sequences"
    return name


def _named(phase: Phase, sharding: str) -> str:
    """Return what replicas exchange in a phase, in words."""
    gather, scatter = "all-gather of weights", "reduce-scatter of gradients"
    if phase in ("first forward", "forward"):
        return gather
    if sharding == "none":
        return "all-reduce of gradients"
    if sharding in ("zero1", "zero2"):
        return scatter
    names = [gather, scatter]
    if sharding == "hybrid" and phase == "last backward":
        names = [*names, "all-reduce between shard groups"]
    return ", ".join(names)
