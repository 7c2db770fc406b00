"""Simulated queues: what requests saw, with errors over runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hindmost.student import student_quantile

if TYPE_CHECKING:
    import polars as pl

STATISTICS: Mapping[str, float | None] = {"mean": None, "p50": 50.0, "p90": 90.0, "p99": 99.0}
"""Statistics of times, and the percentiles that they are."""
FEWEST_BEYOND = 10
"""Requests of a run beyond a percentile, under which it has no number."""
PARTS = 8
"""Consecutive parts of known requests, whose scatter gives errors: there is one run of them."""

LENGTHS = 10.0
"""A run is long enough with so many times the requests in which a queue settles."""
FEWEST_TO_COMPARE = 4
"""Runs of which both halves are compared, at least."""
CHANCE = 1e-3
"""Probability that runs seem not to have settled when they have."""

Run = Mapping[str, Any]
"""Columns of one run, by request."""


@dataclass(frozen=True, kw_only=True)
class QueueEstimate:
    """One statistic of one metric.

    Attributes
    ----------
    metric, statistic : str
        Names.
    value : float
        Mean over runs.
    std_error : float or None
        Standard error of it, by the scatter of runs; None for one run.
    """

    metric: str
    statistic: str
    value: float
    std_error: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class QueueRuns:
    """Simulated runs of a queue.

    Each run begins with no request in the system. Of those of a law, the first fifth and the last
    twentieth of a run's requests do not count: at the beginning and at the end there are fewer in
    the system than in the long run. Errors are by the scatter of runs, those of known requests by
    the scatter of eight consecutive parts of them.

    Attributes
    ----------
    runs : tuple of mappings
        Of each run, columns by request: ``at_s`` when it came, ``wait_s`` until its service began,
        ``first_s`` until its prompt had been read, ``response_s`` until it left, ``output``
        tokens (seconds of service with the disciplines fcfs and ps), ``found`` requests at its
        server, the ``group`` of the server; and ``counted``, the first request that counts and the
        one after the last, and ``mean_number`` of requests in the system in between.
    discipline : str
        That of the queue.
    has_prompts : bool
        Whether prompts take time.
    seed : int
        The seed.
    is_known : bool
        Whether requests are those of a trace.
    settling_requests : float
        Requests in which the queue forgets its beginning, as far as that is known.
    """

    runs: tuple[Run, ...]
    discipline: str
    has_prompts: bool
    seed: int
    is_known: bool = False
    settling_requests: float = 0.0

    def __eq__(self, other: object) -> bool:
        """Return whether all columns of all runs are equal."""
        return (
            isinstance(other, QueueRuns)
            and (self.discipline, self.has_prompts, self.seed, self.is_known, len(self.runs))
            == (other.discipline, other.has_prompts, other.seed, other.is_known, len(other.runs))
            and all(
                np.array_equal(one[name], another[name])
                for one, another in zip(self.runs, other.runs, strict=True)
                for name in one
            )
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def estimates(self) -> list[QueueEstimate]:
        """Each statistic of each metric, over all runs."""
        found = (self.estimate(*statistic) for statistic in self._statistics())
        return [one for one in found if one is not None]

    def estimate(
        self, metric: str, statistic: str, of_run: Callable[[Run], float | None]
    ) -> QueueEstimate | None:
        """Return what a function of a run comes to; None if some run has no value.

        Parameters
        ----------
        metric, statistic
            Names for it.
        of_run
            The function. It reads the columns of requests that count by `counted`.
        """
        values = [of_run(run) for run in self.runs]
        if any(value is None for value in values):
            return None
        scattered = values
        if self.is_known:
            scattered = [of_run(part) for part in self._parts]
        return QueueEstimate(
            metric=metric,
            statistic=statistic,
            value=float(np.mean(np.array(values, dtype=np.float64))),
            std_error=_error(scattered),
        )

    @property
    def is_settled(self) -> bool | None:
        """Whether runs are long enough for what waits come to in the long run.

        False where a run has fewer than ten times the requests that are there at once, or in which
        a queue forgets its beginning; and where responses of the second half of those that count
        differ from those of the first half by more than chance. None for known requests.
        """
        if self.is_known:
            return None
        at_once = np.mean([(_rate(run) or math.inf) * _response_s(run) for run in self.runs])
        fewest = LENGTHS * max(float(at_once), self.settling_requests)
        if len(self.runs[0]["at_s"]) < fewest:
            return False
        if len(self.runs) < FEWEST_TO_COMPARE:
            return True
        changes = np.array([_change(run) for run in self.runs])
        if np.ptp(changes) == 0:
            return bool(changes[0] == 0)
        n = len(changes)
        score = abs(float(changes.mean())) / (float(changes.std(ddof=1)) / math.sqrt(n))
        return score <= student_quantile(1 - CHANCE / 2, n - 1)

    @property
    def _parts(self) -> list[Run]:
        """Consecutive parts of the requests of the only run."""
        (run,) = self.runs
        first, end = run["counted"]
        bounds = np.linspace(first, end, min(PARTS, end - first) + 1).astype(int)
        parts = [{**run, "counted": pair} for pair in itertools.pairwise(bounds.tolist())]
        # By Little's law, because the core knows the number in the whole run only.
        return [{**part, "mean_number": _number(part)} for part in parts]

    def value(self, metric: str, statistic: str = "mean") -> float:
        """Return one statistic of one metric; raises KeyError where there is none."""
        return self._estimate(metric, statistic).value

    def std_error(self, metric: str, statistic: str = "mean") -> float | None:
        """Return the standard error of one statistic; raises KeyError where there is none."""
        return self._estimate(metric, statistic).std_error

    def _estimate(self, metric: str, statistic: str) -> QueueEstimate:
        for name, other, of_run in self._statistics():
            if (name, other) == (metric, statistic):
                found = self.estimate(metric, statistic, of_run)
                if found is not None:
                    return found
        raise KeyError(f"{metric}, {statistic}")

    @property
    def frame(self) -> pl.DataFrame:
        """One row a statistic: metric, statistic, value and std_error."""
        import polars as pl

        found = self.estimates
        return pl.DataFrame(
            {
                "metric": [one.metric for one in found],
                "statistic": [one.statistic for one in found],
                "value": [one.value for one in found],
                "std_error": pl.Series([one.std_error for one in found], dtype=pl.Float64),
            }
        )

    @property
    def requests(self) -> pl.DataFrame:
        """One row a request that counts: run, and its columns."""
        import polars as pl

        names = "at_s", "wait_s", "first_s", "response_s", "output", "found", "group"
        frames = [
            pl.DataFrame({"run": np.full(end - first, number, dtype=np.uint32)}).with_columns(
                pl.Series(name, run[name][first:end]) for name in names
            )
            for number, run in enumerate(self.runs)
            for first, end in (run["counted"],)
        ]
        return pl.concat(frames)

    def _statistics(self) -> Iterator[tuple[str, str, Callable[[Run], float | None]]]:
        """Yield metrics, statistics, and what a run gives for them."""
        yield "requests_per_s", "mean", _rate
        yield "waits", "mean", lambda run: float((counted(run, "wait_s") > 0).mean())
        yield "empty", "mean", lambda run: float((counted(run, "found") == 0).mean())
        yield "number", "mean", _mean_number
        names = ["wait_s", "response_s"]
        if self.discipline == "batch" and self.has_prompts:
            names.insert(1, "first_s")
        for name in names:
            for statistic, percentile in STATISTICS.items():
                yield name, statistic, _of_column(name, percentile)
        if self.discipline == "ps":
            yield "slowdown", "mean", lambda run: _ratio(run, "response_s", None)
        if self.discipline == "batch":
            yield "s_per_token", "mean", lambda run: _ratio(run, "response_s", "first_s")
            for statistic, percentile in STATISTICS.items():
                if percentile is not None:
                    yield "s_per_token", statistic, _pace_of_requests(percentile)
            yield "tokens_per_s", "mean", _tokens_rate


def counted(run: Run, name: str) -> NDArray[Any]:
    """Return a column of the requests that count."""
    first, end = run["counted"]
    column: NDArray[Any] = run[name][first:end]
    return column


def _seconds(run: Run) -> float:
    """Return the seconds from when the first request that counts comes until the last one."""
    at_s = counted(run, "at_s")
    return float(at_s[-1] - at_s[0])


def _rate(run: Run) -> float | None:
    seconds = _seconds(run)
    return (len(counted(run, "at_s")) - 1) / seconds if seconds > 0 else None


def _tokens_rate(run: Run) -> float | None:
    seconds = _seconds(run)
    return float(counted(run, "output")[1:].sum()) / seconds if seconds > 0 else None


def _ratio(run: Run, name: str, without: str | None) -> float | None:
    """Return the seconds of all requests over all of their tokens."""
    seconds = counted(run, name)
    if without is not None:
        seconds = seconds - counted(run, without)
    tokens = float(counted(run, "output").sum())
    return float(seconds.sum()) / tokens if tokens > 0 else None


def percentile_of(values: NDArray[np.float64], percentile: float) -> float | None:
    """Return a percentile, or None with too few values beyond it."""
    if len(values) * (1 - percentile / 100) < FEWEST_BEYOND:
        return None
    return float(np.percentile(values, percentile))


def _of_column(name: str, percentile: float | None) -> Callable[[Run], float | None]:
    def of_run(run: Run) -> float | None:
        values = counted(run, name)
        return float(values.mean()) if percentile is None else percentile_of(values, percentile)

    return of_run


def token_seconds(run: Run) -> NDArray[np.float64]:
    """Return the seconds of each of a request's tokens, by requests that count and have any."""
    seconds = counted(run, "response_s") - counted(run, "first_s")
    tokens = counted(run, "output")
    found: NDArray[np.float64] = seconds[tokens > 0] / tokens[tokens > 0]
    return found


def _pace_of_requests(percentile: float) -> Callable[[Run], float | None]:
    return lambda run: percentile_of(token_seconds(run), percentile)


def _mean_number(run: Run) -> float | None:
    number: float | None = run["mean_number"]
    return number if number is not None and math.isfinite(number) else None


def _number(run: Run) -> float | None:
    """Return the mean number of requests in the system, by Little's law."""
    seconds = _seconds(run)
    return float(counted(run, "response_s")[1:].sum()) / seconds if seconds > 0 else None


def _response_s(run: Run) -> float:
    return float(counted(run, "response_s").mean())


def _change(run: Run) -> float:
    """Return by how much responses of the second half are longer than those of the first."""
    responses = counted(run, "response_s")
    half = len(responses) // 2
    return float(responses[half:].mean() - responses[:half].mean())


def _error(values: list[float | None]) -> float | None:
    """Return the standard error of the mean of independent values; None if one is missing."""
    known = [value for value in values if value is not None]
    if len(known) < max(len(values), 2):
        return None
    return float(np.std(known, ddof=1)) / math.sqrt(len(known))
