"""Values of all coalitions of players: what MFU would be with some of them ideal.

What ranks do in a step, what the network does and what happens between steps are independent of
each other. So ranks are simulated once for each coalition of players that act on them, the network
once for each of players that change its ports, and whole runs once for each of players between
steps; each step's slowest replica is then looked for again with each network.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hindmost import _core
from hindmost.analyses.mechanisms import Player, changes_of
from hindmost.analyses.shapley import Values
from hindmost.compiled import Compiled
from hindmost.engines import Method, Progress, Reason, counting
from hindmost.errors import Problem, ScenarioError
from hindmost.parallel import in_parallel
from hindmost.plan import Plan
from hindmost.statistics import run_means
from hindmost.whole_run.account import Account, rank_flops_per_hour
from hindmost.whole_run.fleet import Fleet
from hindmost.whole_run.hours import run_hours

Coalition = tuple[Player, ...]


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is simulated of each coalition.

    Attributes
    ----------
    method : str
        ``order-statistics`` or ``sample``, for all of them.
    seed, runs, steps : int
        As in `simulate`.
    days : float
        Days of whole runs.
    """

    method: Method
    seed: int
    runs: int
    steps: int
    days: float

    @property
    def of_steps(self) -> dict[str, Any]:
        """What engines take."""
        return {"seed": self.seed, "runs": self.runs, "steps": self.steps}


@dataclass(frozen=True, kw_only=True, eq=False)
class Lattice:
    """Values of all coalitions.

    Attributes
    ----------
    step_players : tuple of Player
        Those that act within steps.
    run_players : tuple of Player
        Those that act between steps.
    mfu : array of shape (2, ..., 2, replicates)
        MFU by coalition of the former: of all runs, then without each of several runs.
    fleet_mfu : array of the same kind, or None
        Fleet MFU by coalition of all players, where there are failures.
    """

    step_players: Coalition
    run_players: Coalition
    mfu: Values
    fleet_mfu: Values | None


Announce = Callable[[int, float], object]
"""Called with the number of simulations and about how many seconds they take."""


def coalitions(players: Sequence[Player]) -> list[Coalition]:
    """Return all coalitions, in the order of the entries of an array of shape (2, ..., 2)."""
    members = itertools.product((False, True), repeat=len(players))
    return [tuple(itertools.compress(players, chosen)) for chosen in members]


def n_simulations(players: Sequence[Player]) -> int:
    """Return how many simulations the values of all coalitions of some players take.

    One for each coalition on ranks, and one for each that changes ports.
    """
    on_ranks = sum(player.side == "compute" for player in players)
    on_ports = sum(player.on_ports for player in players)
    return int(2**on_ranks + 2**on_ports)


def lattice(
    base: Compiled,
    players: Sequence[Player],
    size: Size,
    *,
    threads: int,
    progress: Progress | None = None,
    announce: Announce | None = None,
) -> Lattice:
    """Return the values of all coalitions of some players.

    Parameters
    ----------
    base
        The scenario with none of them ideal.
    players
        The players, those on ranks first and those between steps last.
    size
        How much is simulated.
    threads
        Threads for all of it.
    progress
        Called with the simulations that are done and all of them.
    announce
        Called once it is known about how long all of them take.

    Raises
    ------
    ScenarioError
        If the method is ``order-statistics`` and a coalition needs ``sample``.
    """
    on_ranks, on_network, between = (
        [player for player in players if player.side == side]
        for side in ("compute", "network", "run")
    )
    started = time.monotonic()
    total = n_simulations(players)
    networks = _Networks(
        base, on_ranks, on_network, size, threads=threads, progress=_part(progress, 0, total)
    )

    def simulated(
        coalition: Coalition, *, threads: int, progress: Progress | None
    ) -> tuple[Plan, NDArray[np.float64]]:
        compiled = base.with_changes(changes_of(base.scenario, coalition))
        found = _step_times(
            compiled, networks.behind(coalition), size, threads=threads, progress=progress
        )
        return compiled.plan, np.array([run_means(one.reshape(size.runs, -1)) for one in found])

    everyone = coalitions(on_ranks)
    done = networks.n_drawn
    if announce is not None:
        # The first coalition takes as long as others: none of what it does is kept for them.
        before = time.monotonic()
        simulated(everyone[0], threads=threads, progress=None)
        each_s = time.monotonic() - before
        announce(total, before - started + len(everyone) * each_s)
    of_ranks = in_parallel(
        everyone, simulated, threads=threads, progress=_part(progress, done, total)
    )
    plans = [plan for plan, _ in of_ranks]
    # By coalition on ranks and on the network, and by run.
    mean_step_s = np.array([seconds for _, seconds in of_ranks])
    shape = (2,) * (len(on_ranks) + len(on_network))
    mfu = base.plan.peak_step_s * _ratios(np.ones_like(mean_step_s), mean_step_s)
    fleet_mfu = None
    if base.scenario.enabled_failures:
        # Of players on ranks only some change what happens between steps.
        some = coalitions([player for player in on_ranks if player.on_runs])
        of_runs = {
            frozenset(of_ranks): [
                _account(base, (*of_ranks, *coalition), size, threads=threads)
                for coalition in coalitions(between)
            ]
            for of_ranks in some
        }
        by_place = [
            of_runs[frozenset(one for one in coalition if one.on_runs)] for coalition in everyone
        ]
        fleet_mfu = _fleet_mfu(plans, mean_step_s, by_place)
        fleet_mfu = fleet_mfu.reshape(*(2,) * len(players), -1)
    return Lattice(
        step_players=(*on_ranks, *on_network),
        run_players=tuple(between),
        mfu=mfu.reshape(*shape, -1),
        fleet_mfu=fleet_mfu,
    )


def _part(progress: Progress | None, done_before: int, total: int) -> Progress | None:
    """Return a progress of some of all simulations, after those that are done."""
    if progress is None:
        return None
    return lambda done, _: progress(done_before + done, total)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Drawn:
    """What the network was drawn to be: columns of `_core.Columns`."""

    port_slowdown: NDArray[np.float64]
    port_stall_s: NDArray[np.float64]
    hop_factor: NDArray[np.float64]


class _Networks:
    """The network of each coalition of players that act on it, drawn once."""

    def __init__(
        self,
        base: Compiled,
        on_ranks: list[Player],
        on_network: list[Player],
        size: Size,
        *,
        threads: int,
        progress: Progress | None,
    ) -> None:
        self._plans = {
            coalition: base.with_changes(changes_of(base.scenario, coalition)).core
            for coalition in coalitions(on_network)
        }
        # Of ports only some players change what is drawn.
        drawn = coalitions([player for player in (*on_ranks, *on_network) if player.on_ports])

        def draw(coalition: Coalition, *, threads: int, progress: Progress | None) -> _Drawn:
            compiled = base.with_changes(changes_of(base.scenario, coalition))
            columns = compiled.simulate_steps(
                **size.of_steps,
                method=size.method,
                threads=threads,
                terms=True,
                progress=progress,
            ).columns
            return _Drawn(
                port_slowdown=columns["port_slowdown"],
                port_stall_s=columns["port_stall_s"],
                hop_factor=columns["hop_factor"],
            )

        columns = in_parallel(drawn, draw, threads=threads, progress=progress)
        self._drawn = dict(zip(map(frozenset, drawn), columns, strict=True))

    @property
    def n_drawn(self) -> int:
        """Simulations that ports were drawn in."""
        return len(self._drawn)

    def behind(self, of_ranks: Coalition) -> list[_core.Network]:
        """Return all networks, as they are with some players on ranks ideal."""
        found: list[_core.Network] = []
        for coalition, plan in self._plans.items():
            on_ports = frozenset(one for one in (*of_ranks, *coalition) if one.on_ports)
            drawn = self._drawn[on_ports]
            found.append(
                {
                    "plan": plan,
                    "port_slowdown": drawn.port_slowdown,
                    "port_stall_s": drawn.port_stall_s,
                    "hop_factor": drawn.hop_factor,
                }
            )
        return found


def _step_times(
    compiled: Compiled,
    networks: list[_core.Network],
    size: Size,
    *,
    threads: int,
    progress: Progress | None,
) -> list[NDArray[np.float64]]:
    """Return the step times of a scenario's ranks with each of some networks."""
    n_steps = size.runs * size.steps
    if size.method == "sample":
        tell = counting(progress, compiled.core.draws_per_step * n_steps)
        return _core.sample_step_times(
            compiled.core, networks, **size.of_steps, threads=threads, progress=tell
        )
    if isinstance(compiled.exact, Reason):
        requirement = "must be sample: a coalition of ideals cannot be exact"
        hint = str(compiled.exact)
        problem = Problem(path="method", requirement=requirement, value=size.method, hint=hint)
        raise ScenarioError([problem])
    tell = counting(progress, n_steps)
    return compiled.exact.step_times(networks, **size.of_steps, threads=threads, progress=tell)


def _account(base: Compiled, coalition: Coalition, size: Size, *, threads: int) -> Account:
    """Return the account of whole runs with some players between steps ideal."""
    compiled = base.with_changes(changes_of(base.scenario, coalition))
    fleet = Fleet(scenario=compiled.scenario, plan=compiled.plan)
    hours = run_hours(fleet, seed=size.seed, runs=size.runs, days=size.days, threads=threads)
    return Account.of(hours, compiled.plan, np.ones(size.runs))


def _fleet_mfu(
    plans: list[Plan], mean_step_s: NDArray[np.float64], of_runs: list[list[Account]]
) -> Values:
    """Return fleet MFU by coalition on ranks, on the network and between steps, and replicate.

    Parameters
    ----------
    plans
        Plans by coalition on ranks.
    mean_step_s : array of shape (ranks, networks, runs)
        Mean step times by coalition.
    of_runs
        Accounts by coalition on ranks, and between steps.
    """
    n_ranks, n_networks, runs = mean_step_s.shape
    done = np.empty((n_ranks, n_networks, len(of_runs[0]), runs))
    possible = np.empty_like(done)
    for place, plan in enumerate(plans):
        kept_hours = np.array([account.kept_hours for account in of_runs[place]])
        kept_flops = (kept_hours * rank_flops_per_hour(plan, np.ones(runs))).sum(axis=-1)
        done[place] = kept_flops / mean_step_s[place][:, np.newaxis]
        possible[place] = np.array([account.possible_flops for account in of_runs[place]])
    return _ratios(done, possible)


def _ratios(above: NDArray[np.float64], below: NDArray[np.float64]) -> Values:
    """Return ratios of sums over the last axis: of all runs, then without each of several runs."""
    runs = above.shape[-1]
    kept = np.ones((1, runs))
    if runs > 1:
        kept = np.concatenate([kept, 1 - np.eye(runs)])
    ratios: Values = (above @ kept.T) / (below @ kept.T)
    return ratios
