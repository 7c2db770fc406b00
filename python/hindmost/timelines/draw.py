"""Drawing of one step as a timeline."""

from __future__ import annotations

from pathlib import Path

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
from hindmost.physics.terms import Phase
from hindmost.scenario import Changes, Counts, Scenario
from hindmost.scenario.counts import is_mixed
from hindmost.timelines.timeline import (
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
            *bounds("step", step, 0, MAX_STEPS - 1),
            *bounds("run", run, 0, MAX_RUNS - 1),
            *seed_problems(seed),
            *thread_problems(threads),
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
            port=self._port(),
            within_step=tuple(self._within_step()),
            computing={
                pool.name: tuple(np.sort(found["compute_s"][found["pool"] == place]).tolist())
                for place, pool in enumerate(plan.pools)
            },
            replicas_of_time=self._gang_replicas,
            has_transfers=self._pipeline is not None and self._pipeline["kind"] != "bubble-free",
        )

    @property
    def _gang_replicas(self) -> int:
        return 1 if self._pipeline is None else int(self._pipeline["gang_replicas"])

    def _within_step(self) -> list[str]:
        """Return the names of causes that change from pass to pass."""
        causes = self._plan.arguments["causes"]
        return [cause["name"] for cause in causes if cause["span"] in ("microbatch", "layer")]

    def _replicas(self) -> list[ReplicaTimeline]:
        """Return the slowest replica, one with the median time and the fastest one."""
        found = self._found
        # A stable order, so that of equals the first is taken.
        order = np.argsort(found["compute_s"], kind="stable")
        chosen: dict[int, Role] = {found["slowest"]: "slowest"}
        chosen.setdefault(int(order[(len(order) - 1) // 2]), "median")
        chosen.setdefault(int(order[0]), "fastest")
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
        noiseless_s = n_microbatches * stage_s.total_s + overhead_s
        slowdown = (compute_s - stall_s) / noiseless_s
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
        return self._replica(
            place,
            role,
            stages=(self._stage(at, at, slowdown, slowdown * overhead_s),),
            passes=tuple(passes),
        )

    def _of_gang(self, place: int, role: Role, found: _core.GangPasses) -> ReplicaTimeline:
        """Return a replica with stages, or replicas that wait for each other within a step."""
        step_stall_s, stalled = found["step_stall"]
        stalls = self._effects(stalled, stalls=True) if step_stall_s else ()
        return self._replica(
            place,
            role,
            stages=tuple(
                self._stage(slowest, stalled if stall_s else None, slowdown, overhead_s)
                for _, (slowdown, slowest), (stall_s, stalled), overhead_s in found["stages"]
            ),
            passes=tuple(
                Pass(stage, direction, microbatch, chunk, *times)
                for (stage, direction, microbatch, chunk), *times in found["passes"]
            ),
            whole_stall_s=step_stall_s + found["microbatch_stall_s"],
            whole_stalls=stalls,
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
        number, of_gang = int(found["replica"][place]), self._gang_replicas
        first = number * of_gang
        return ReplicaTimeline(
            role=role,
            pool=pool,
            first=first,
            last=min(first + of_gang, self._replicas_of(pool)) - 1,
            compute_s=float(found["compute_s"][place]),
            stall_s=float(found["stall_s"][place]),
            whole_stall_s=whole_stall_s,
            whole_stalls=whole_stalls,
            stages=stages,
            passes=passes,
        )

    def _replicas_of(self, pool: str) -> int:
        """Return the replicas that are numbered together with those of a pool."""
        scenario = self._scenario
        if is_mixed(scenario.layout):
            return self._plan.n_replicas
        counts = Counts.of(scenario.pools, scenario.layout, scenario.spares)
        return counts.pools[pool].n_replicas

    def _stage(
        self,
        slowest: tuple[int, int],
        stalled: tuple[int, int] | None,
        slowdown: float,
        overhead_s: float,
    ) -> Stage:
        """Return a stage, given the places of its slowest rank and of the one that is stalled."""
        pool, gpu = slowest
        name = self._plan.pools[pool].name
        return Stage(
            pool=name,
            gpu=gpu,
            node=gpu // self._scenario.pools[name].accelerator.node_gpus,
            slowdown=slowdown,
            effects=self._effects(slowest, stalls=False),
            stalls=() if stalled is None else self._effects(stalled, stalls=True),
            overhead_s=overhead_s,
        )

    def _effects(self, at: tuple[int, int], *, stalls: bool) -> tuple[Effect, ...]:
        """Return what causes do to a GPU for the whole step, the greatest first."""
        pool, gpu = at
        found = _core.gpu_effects(self._compiled.core, **self._which, pool=pool, gpu=gpu)
        effects = [
            Effect(name, 1.0, value) if is_stall else Effect(name, value, 0.0)
            for name, is_stall, value in found
            if is_stall == stalls and (is_stall or abs(value - 1) >= NEUTRAL_SLOWDOWN)
        ]
        return tuple(sorted(effects, key=lambda one: (-one.stall_s, -one.slowdown)))

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

    def _port(self) -> str:
        """Say what the worst ports do; nothing where no cause acts on the network."""
        slowdowns, stalls = self._found["port_slowdown"], self._found["port_stall_s"]
        said = []
        if len(slowdowns) and slowdowns.max() > 1:
            place = int(slowdowns.argmax())
            said.append(f"a port of {self._plan.pools[place].name} {slowdowns[place]:.4g} x slower")
        if len(stalls) and stalls.max() > 0:
            place = int(stalls.argmax())
            said.append(f"a port of {self._plan.pools[place].name} stalls {stalls[place]:.3g} s")
        return ", ".join(said)


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
