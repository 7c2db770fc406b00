"""A job that fails, restarts and goes on from its last checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np

from hindmost import _core
from hindmost.arguments import (
    DEFAULT_DAYS,
    MAX_RUNS,
    as_int,
    available_threads,
    bounds,
    drawn_seed,
    refuse,
    seed_problems,
    thread_problems,
)
from hindmost.errors import Problem
from hindmost.law import Exponential, LawModel, Weibull
from hindmost.renewal import exact
from hindmost.renewal.interval import by_search, of_constant_rate
from hindmost.renewal.runs import NAMES, RenewalRuns

SECONDS_PER_HOUR = 3600.0
SECONDS_PER_DAY = 24 * SECONDS_PER_HOUR

LEAST_DAYS = 1e-6
"""Days of a run, at least."""

MAX_EVERY = 1_000_000
"""Checkpoints from one global one to the next, at most."""
LEAST_INTERVAL_S = 1e-3
"""Seconds between checkpoints, at least."""
RATES = (1e-12, 1e6)
"""Failures an hour, at least and at most."""
SHAPES = (0.5, 20.0)
"""Shapes of the law of a failure, at least and at most: those whose tables the core has."""
MOST_LOST_RESTARTS = 12.0
"""Failures in a restart that can fail, above which hardly one in 160,000 succeeds."""

MAX_INTERRUPTIONS = 2**31
"""Interruptions of a run, at most: random addresses have 32 bits for failures."""

SEARCH_RUNS, SEARCH_INTERRUPTIONS = 4, 50_000
"""Runs and interruptions of each simulation of a search."""
SEARCH_SEED = 0
"""One seed for all of a search, so that all intervals meet the same failures."""
SEARCH_TOLERANCE, EXACT_TOLERANCE = 1e-3, 1e-7
"""Relative widths at which searches end."""
FEW_PER_DECADE, MANY_PER_DECADE = 8, 64
"""Intervals of each factor of ten that are tried by simulation, and exactly."""


@dataclass(frozen=True, kw_only=True)
class Failures:
    """Failures of one kind, of all units together.

    Attributes
    ----------
    per_hour : float
        How many there are in an hour in service, > 0.
    shape : float
        1 for a constant rate; another shape is that of a Weibull law of the time to a failure,
        which begins anew with each restart of the job.
    keeps_local : bool
        Whether local checkpoints survive them, where there is a global level.
    """

    per_hour: float
    shape: float = 1.0
    keeps_local: bool = True

    @property
    def rate(self) -> float:
        """Failures a second."""
        return self.per_hour / SECONDS_PER_HOUR


@dataclass(frozen=True, kw_only=True)
class GlobalLevel:
    """Checkpoints that survive what local ones do not.

    Attributes
    ----------
    every : int
        Each so many checkpoints one is global instead of local, >= 1.
    blocking_s : float
        Seconds for which it stops the job, >= 0.
    durable_s : float
        Seconds after that until it is durable, >= 0.
    restart_s : float or None
        Seconds of a restart from it; as long as one from a local checkpoint by default.
    """

    every: int
    blocking_s: float
    durable_s: float = 0.0
    restart_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Renewal:
    """A job that fails, restarts and goes on from its last checkpoint.

    Time is continuous: an interval is not rounded to steps, and what has been computed since the
    last durable checkpoint is lost. Each failure is detected after `detection_s`, and the restart
    takes `restart_s` more.

    Parameters
    ----------
    failures
        Failures by kind.
    restart_s
        Seconds of a restart, >= 0.
    blocking_s
        Seconds for which a checkpoint stops the job, >= 0; of local ones with a global level.
    interval_s
        Seconds of computing from one checkpoint to the next one, > 0; the best one by default.
    durable_s
        Seconds after that until a checkpoint is durable, while the job goes on, >= 0. Writes that
        last longer than an interval overlap.
    detection_s
        Seconds until a failure is noticed, >= 0.
    restart_can_fail
        Whether failures come during detection and restart, too; then both begin again. Otherwise
        clocks of failures stand meanwhile.
    global_level
        Second level of checkpoints, if there is one.

    Raises
    ------
    ScenarioError
        With every value that is out of its domain.

    Examples
    --------
    Meta's 27,500 nodes at Llama 3's rate, a checkpoint of half a minute every five minutes and
    restarts of ten:

    >>> job = Renewal(
    ...     failures={"node": Failures(per_hour=27_500 * 3.789e-3 / 24)},
    ...     interval_s=300,
    ...     blocking_s=30,
    ...     restart_s=600,
    ... )
    >>> round(job.exact, 4)
    0.359
    >>> runs = job.simulate(seed=1, runs=4, interruptions=100_000)
    >>> abs(runs.kept - job.exact) < 4 * runs.std_error
    True
    """

    failures: Mapping[str, Failures]
    restart_s: float
    blocking_s: float
    interval_s: float | None = None
    durable_s: float = 0.0
    detection_s: float = 0.0
    restart_can_fail: bool = True
    global_level: GlobalLevel | None = None

    def __post_init__(self) -> None:
        refuse(list(self._problems()))
        # A copy, which the caller's later changes leave as it was judged.
        object.__setattr__(self, "failures", dict(self.failures))

    def _problems(self) -> Iterator[Problem]:
        if not (isinstance(self.failures, Mapping) and self.failures):
            requirement = "must be a mapping with at least one kind"
            yield Problem(path="failures", requirement=requirement)
            return
        for name, kind in self.failures.items():
            yield from _kind_problems(name, kind)
        if not isinstance(self.restart_can_fail, bool):
            requirement, value = "must be True or False", self.restart_can_fail
            yield Problem(path="restart_can_fail", requirement=requirement, value=value)
        if not (self.global_level is None or isinstance(self.global_level, GlobalLevel)):
            requirement = "must be a hindmost.GlobalLevel"
            yield Problem(path="global_level", requirement=requirement)
            return
        numbers = {
            "restart_s": self.restart_s,
            "blocking_s": self.blocking_s,
            "durable_s": self.durable_s,
            "detection_s": self.detection_s,
        }
        level = self.global_level
        if level is not None:
            yield from bounds("global_level.every", level.every, 1, MAX_EVERY)
            numbers |= {
                "global_level.blocking_s": level.blocking_s,
                "global_level.durable_s": level.durable_s,
            }
            if level.restart_s is not None:
                numbers["global_level.restart_s"] = level.restart_s
        for path, value in numbers.items():
            yield from _number(path, value)
        if self.interval_s is not None:
            yield from _number("interval_s", self.interval_s, least=LEAST_INTERVAL_S)
        elif self.blocking_s == 0 and (level is None or level.blocking_s == 0):
            requirement = "must be given where checkpoints do not stop the job: the best one is 0"
            yield Problem(path="interval_s", requirement=requirement)

    @property
    def _kinds(self) -> tuple[Failures, ...]:
        return tuple(self.failures.values())

    @property
    def rate(self) -> float:
        """Failures a second in service."""
        return sum(kind.rate for kind in self._kinds)

    @cached_property
    def best_interval_s(self) -> float:
        """Seconds of computing between checkpoints that keep most time.

        In closed form or from `exact`, where there is one; else by search, at every interval on
        the same simulated failures, to 0.1%.

        Raises
        ------
        ScenarioError
            If it has to be simulated and restarts hardly ever succeed.
        """
        level = self.global_level
        constant = all(kind.shape == 1 for kind in self._kinds)
        if constant and level is None:
            return of_constant_rate(self.rate, self.blocking_s)
        mean_blocking_s = self.blocking_s
        if level is not None:
            mean_blocking_s += (level.blocking_s - self.blocking_s) / level.every
        young_s = max(math.sqrt(2 * mean_blocking_s / self.rate), LEAST_INTERVAL_S)

        def exactly(interval_s: float) -> float:
            return replace(self, interval_s=max(interval_s, LEAST_INTERVAL_S)).exact or 0.0

        def simulated(interval_s: float) -> float:
            job = replace(self, interval_s=max(interval_s, LEAST_INTERVAL_S))
            runs = job.simulate(
                seed=SEARCH_SEED, runs=SEARCH_RUNS, interruptions=SEARCH_INTERRUPTIONS
            )
            return runs.kept

        if replace(self, interval_s=young_s).exact is None:
            lost = self.rate * (self.detection_s + self.restart_s)
            if self.restart_can_fail and lost > MOST_LOST_RESTARTS:
                requirement = (
                    f"must be shorter for a best interval: {lost:.0f} failures come in one "
                    "restart, so that hardly any succeeds"
                )
                value = self.restart_s
                refuse([Problem(path="restart_s", requirement=requirement, value=value)])
            return by_search(
                simulated, young_s, tolerance=SEARCH_TOLERANCE, per_decade=FEW_PER_DECADE
            )
        # Where failures come with age, intervals that divide it well are all good ones.
        return by_search(exactly, young_s, tolerance=EXACT_TOLERANCE, per_decade=MANY_PER_DECADE)

    @property
    def _interval_s(self) -> float:
        return self.best_interval_s if self.interval_s is None else self.interval_s

    @property
    def exact(self) -> float | None:
        """Share of time kept in the long run, where it is known exactly; else None.

        It is with a constant rate and one level; with two levels whose checkpoints are durable when
        written, where restarts cannot fail; and with one Weibull law, under the same conditions.
        """
        down_s = self.detection_s + self.restart_s
        level, kinds = self.global_level, self._kinds
        constant = all(kind.shape == 1 for kind in kinds)
        if level is None and constant:
            return exact.constant_rate(
                rate=self.rate,
                down_s=down_s,
                interval_s=self._interval_s,
                blocking_s=self.blocking_s,
                durable_s=self.durable_s,
                can_fail=self.restart_can_fail,
            )
        at_once = self.durable_s == 0 and (level is None or level.durable_s == 0)
        if self.restart_can_fail or not at_once:
            return None
        if level is not None and constant:
            far_s = self.restart_s if level.restart_s is None else level.restart_s
            local, far = (
                sum(kind.rate for kind in kinds if kind.keeps_local is keeps)
                for keeps in (True, False)
            )
            return exact.two_levels(
                rates=(local, far),
                downs_s=(down_s, self.detection_s + far_s),
                interval_s=self._interval_s,
                blockings_s=(self.blocking_s, level.blocking_s),
                every=level.every,
            )
        if level is None and len(kinds) == 1:
            return exact.weibull(
                shape=kinds[0].shape,
                mean_s=1 / kinds[0].rate,
                down_s=down_s,
                interval_s=self._interval_s,
                blocking_s=self.blocking_s,
            )
        return None

    def simulate(
        self,
        *,
        seed: int | None = None,
        runs: int = 16,
        interruptions: int | None = None,
        days: float | None = None,
        checkpoints: int | None = None,
        threads: int | None = None,
    ) -> RenewalRuns:
        """Simulate runs of the job, failure by failure.

        Parameters
        ----------
        seed
            Seed; drawn by default.
        runs
            Runs, 1 to 65,536.
        interruptions, days, checkpoints
            When each run ends: after so many failures that interrupt it, after so many days, or
            once so many checkpoints have been taken, of which each is kept in the end. One of
            them; 30 days by default.
        threads
            Threads; by default as many as this process may use.

        Raises
        ------
        ScenarioError
            With every argument that is out of its domain.
        """
        seed, runs, interruptions, checkpoints, threads = (
            as_int(each) for each in (seed, runs, interruptions, checkpoints, threads)
        )
        counts = {"interruptions": interruptions, "checkpoints": checkpoints}
        ends = {"days": days, **counts}
        given = [name for name, value in ends.items() if value is not None]
        if not given:
            days = DEFAULT_DAYS
        seed = drawn_seed() if seed is None else seed
        threads = available_threads() if threads is None else threads
        found = [
            *seed_problems(seed),
            *bounds("runs", runs, 1, MAX_RUNS),
            *thread_problems(threads),
            *([] if days is None else _number("days", days, least=LEAST_DAYS)),
        ]
        for name, count in counts.items():
            if count is not None:
                found += bounds(name, count, 1, MAX_INTERRUPTIONS)
        if len(given) > 1:
            requirement = f"must be left out where {given[0]} is given: a run has one end"
            found.append(Problem(path=given[1], requirement=requirement, value=ends[given[1]]))
        refuse(found)
        rows = _core.renewal(
            self._core_arguments(),
            seed=seed,
            runs=runs,
            threads=threads,
            interruptions=interruptions,
            seconds=None if days is None else days * SECONDS_PER_DAY,
            checkpoints=checkpoints,
        )
        table = np.array(rows, dtype=np.float64)
        return RenewalRuns(
            rows=table[:, : len(NAMES)],
            interruptions=table[:, -2].astype(np.int64),
            failures=table[:, -1].astype(np.int64),
            seed=seed,
        )

    def _core_arguments(self) -> dict[str, Any]:
        level = self.global_level
        restart_s = self.restart_s if level is None or level.restart_s is None else level.restart_s
        return {
            "failures": [
                {
                    "name": name,
                    "law": _law(kind),
                    "is_renewed": kind.shape != 1,
                    "keeps_local": kind.keeps_local,
                }
                for name, kind in self.failures.items()
            ],
            "detection_s": self.detection_s,
            "restart_s": self.restart_s,
            "global_restart_s": restart_s,
            "can_fail": self.restart_can_fail,
            "checkpoint": {
                "interval_s": self._interval_s,
                "blocking_s": self.blocking_s,
                "durable_s": self.durable_s,
                "global_every": None if level is None else level.every,
                "global_blocking_s": 0.0 if level is None else level.blocking_s,
                "global_durable_s": 0.0 if level is None else level.durable_s,
            },
        }


def _law(kind: Failures) -> dict[str, Any]:
    """Return the law of the seconds from one failure to the next one, for the core."""
    law: LawModel = Exponential(mean=1 / kind.rate)
    if kind.shape != 1:
        law = Weibull(shape=kind.shape, scale=1 / kind.rate / math.gamma(1 + 1 / kind.shape))
    return law.model_dump(exclude_none=True)


def _kind_problems(name: Any, kind: Any) -> Iterator[Problem]:
    """Yield the problems of failures of one kind."""
    path = f"failures.{name}"
    if not isinstance(name, str):
        yield Problem(path="failures", requirement="must have names that are texts", value=name)
    if not isinstance(kind, Failures):
        yield Problem(path=path, requirement="must be a hindmost.Failures")
        return
    yield from _number(f"{path}.per_hour", kind.per_hour, least=RATES[0], most=RATES[1])
    yield from _number(f"{path}.shape", kind.shape, least=SHAPES[0], most=SHAPES[1])
    if not isinstance(kind.keeps_local, bool):
        requirement = "must be True or False"
        yield Problem(path=f"{path}.keeps_local", requirement=requirement, value=kind.keeps_local)


def _number(
    path: str, value: Any, *, least: float = 0.0, most: float = math.inf
) -> Iterator[Problem]:
    """Yield the problem of a value that is no finite number between two."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if is_number and math.isfinite(value) and least <= value <= most:
        return
    limits = f">= {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
    yield Problem(path=path, requirement=f"must be a finite number {limits}", value=value)
