"""Requests as they came: their times and tokens, from the files of published traces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from hindmost.errors import Problem, ScenarioError

if TYPE_CHECKING:
    import polars as pl

Numbers = NDArray[np.float64]

BOM = b"\xef\xbb\xbf"
MICROSECONDS = 10**6
FEWEST_REQUESTS = 2
"""Requests of a trace, at least."""
TICKS_S = (1e-3, 5.0)
"""Ticks of a clock that are shorter are taken as none, and longer ones as bursts of users."""
SHARE_ALIKE = 0.5
"""Share of requests that have one time with others where a clock ticks, at least."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RequestTrace:
    """Requests in the order in which they came.

    Attributes
    ----------
    format : str
        Whose columns the file has: ``azure``, ``burstgpt`` or ``mooncake``.
    at_s : array
        Seconds at which they came, from the first one on, which do not fall.
    input_tokens, output_tokens : array
        Tokens of prompts and answers, >= 1.
    tick_s : float
        Seconds between two readings of the clock that times are from, where most requests have one
        reading with others and it ticks at least every 5 s; 0 where times are as fine as need be.
    left_out : int
        Requests without an answer or a prompt.
    """

    format: str
    at_s: Numbers
    input_tokens: Numbers
    output_tokens: Numbers
    tick_s: float
    left_out: int

    @property
    def per_s(self) -> float:
        """Requests a second, on average."""
        return (len(self.at_s) - 1) / self._seconds

    @property
    def variation(self) -> float:
        """Coefficient of variation of the gaps between requests, in ticks as the file has them."""
        gaps = np.diff(self.at_s)
        return float(gaps.std() / gaps.mean())

    @property
    def _seconds(self) -> float:
        return float(self.at_s[-1] - self.at_s[0])

    def spread(self, seed: int) -> Numbers:
        """Return times that are anywhere within their ticks, in ascending order.

        A clock that ticks lets requests of one tick come together, and those of the next one
        together again: a burst that no user made.
        """
        if self.tick_s == 0:
            return self.at_s
        random = np.random.Generator(np.random.Philox(key=seed))
        return np.sort(self.at_s + self.tick_s * random.random(len(self.at_s)))


class _Format(NamedTuple):
    """Whose columns a file has."""

    columns: tuple[str, str, str]
    """Those of times, and of tokens of prompts and of answers."""
    microseconds: Callable[[pl.Series], pl.Series]
    """Times as whole microseconds; null for what is no time."""


ZONE = r"(Z|[+-]\d\d:?\d\d)$"
"""Time zone at the end of a date."""


def _of_dates(times: pl.Series) -> pl.Series:
    import polars as pl

    texts = times.cast(pl.String, strict=False)
    plain = texts.str.replace(ZONE, "").str.replace("T", " ", literal=True)
    dates = plain.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="ns", strict=False)
    zones = texts.str.extract(ZONE).str.replace("Z", "+0000").str.replace(":", "")
    hours = zones.str.slice(1, 2).cast(pl.Int64).fill_null(0)
    minutes = zones.str.slice(3, 2).cast(pl.Int64).fill_null(0)
    sign = pl.select(pl.when(zones.str.starts_with("-")).then(-1).otherwise(1)).to_series()
    off = sign * (hours * 60 + minutes) * 60 * MICROSECONDS
    return dates.dt.timestamp("us") - off


def _of_numbers(unit: int) -> Callable[[pl.Series], pl.Series]:
    def microseconds(times: pl.Series) -> pl.Series:
        import polars as pl

        numbers = _numbers(times)
        is_time = numbers.is_finite().fill_null(value=False)
        return (numbers * unit).round().set(~is_time, None).cast(pl.Int64, strict=False)

    return microseconds


def _numbers(column: pl.Series) -> pl.Series:
    """Return a column as numbers, null for what is none: lists, tables and truth values, too."""
    import polars as pl

    if column.dtype == pl.String or column.dtype.is_numeric():
        return column.cast(pl.Float64, strict=False)
    return pl.Series(column.name, [None] * len(column), dtype=pl.Float64)


FORMATS: Mapping[str, _Format] = {
    "azure": _Format(("TIMESTAMP", "ContextTokens", "GeneratedTokens"), _of_dates),
    "burstgpt": _Format(
        ("Timestamp", "Request tokens", "Response tokens"), _of_numbers(MICROSECONDS)
    ),
    "mooncake": _Format(
        ("timestamp", "input_length", "output_length"), _of_numbers(MICROSECONDS // 1000)
    ),
}
"""Formats: Azure's LLM inference traces, BurstGPT, and Mooncake's lines of JSON, in which times are
milliseconds."""


def read_trace(path: str | Path) -> RequestTrace:
    """Return the requests of a file.

    Parameters
    ----------
    path
        A CSV file with the columns of Azure's traces or of BurstGPT, or Mooncake's JSON Lines.

    Raises
    ------
    ScenarioError
        If the file cannot be read, has other columns, times or tokens that are none, or fewer than
        two requests with an answer.
    """
    table = _table(Path(path))
    found = [name for name, of in FORMATS.items() if set(of.columns) <= set(table.columns)]
    if not found:
        known = "; or ".join(", ".join(of.columns) for of in FORMATS.values())
        columns = ", ".join(table.columns[:8])
        other = next((mark for mark in (";", "\t") if mark in columns), None)
        hint = "columns are separated by commas, and by nothing else" if other else ""
        _refuse(f"must have the columns of a trace, {known}", columns, hint=hint)
    name = found[0]
    times, *tokens = FORMATS[name].columns
    microseconds = FORMATS[name].microseconds(table[times])
    _check(table, times, microseconds.is_null(), "a time")
    numbers = [_tokens(table, column) for column in tokens]
    has_both = np.logical_and(*(each >= 1 for each in numbers))
    if has_both.sum() < FEWEST_REQUESTS:
        _refuse("must hold two or more requests with a prompt and an answer", str(path))
    every = microseconds.to_numpy()
    order = np.argsort(every, kind="stable")
    order = order[has_both[order]]
    at = every[order]
    if at[0] == at[-1]:
        _refuse("must hold requests of different times", str(path))
    return RequestTrace(
        format=name,
        at_s=(at - at[0]) / MICROSECONDS,
        input_tokens=numbers[0][order],
        output_tokens=numbers[1][order],
        tick_s=_tick_s(np.sort(every)),
        left_out=int((~has_both).sum()),
    )


def _table(path: Path) -> pl.DataFrame:
    import polars as pl

    try:
        data = path.read_bytes().removeprefix(BOM)
        if data.lstrip().startswith(b"{"):
            return pl.read_ndjson(data.lstrip(), infer_schema_length=None)
        # All as texts, so that what is no number is said of its row.
        table = pl.read_csv(data, infer_schema=False)
    except OSError as error:
        _refuse(f"cannot be read: {error.strerror}", str(path))
    except pl.exceptions.PolarsError as error:
        hint = str(error).strip().partition("\n")[0]
        _refuse("must be a CSV file or lines of JSON", str(path), hint=hint)
    is_empty = pl.all_horizontal(pl.all().is_null())
    # Empty lines at the end; those in between are rows without anything.
    n = len(table) - int(
        table.select(is_empty.reverse().cum_min().sum()).item() if len(table) else 0
    )
    return table.head(n)


def _tokens(table: pl.DataFrame, column: str) -> Numbers:
    numbers = _numbers(table[column])
    is_none = numbers.is_null() | ~numbers.is_finite() | (numbers < 0)
    _check(table, column, is_none.fill_null(value=True), "a number >= 0")
    return numbers.to_numpy().astype(np.float64)


def _check(table: pl.DataFrame, column: str, is_wrong: pl.Series, what: str) -> None:
    places = is_wrong.arg_true()
    if len(places) > 0:
        place = int(places[0])
        value = table[column].to_list()[place]
        _refuse(f"must have {what} in {column} of each request", value, place + 1)


def _tick_s(at: NDArray[np.int64]) -> float:
    """Return the seconds between two readings of the clock, if several requests have one reading.

    The least of them: Mooncake's clock ticks every 3 s, give or take a millisecond.
    """
    readings, counts = np.unique(at, return_counts=True)
    alike = counts[counts > 1].sum() / len(at)
    if alike < SHARE_ALIKE or len(readings) < 2:
        return 0.0
    tick_s = float(np.diff(readings).min()) / MICROSECONDS
    low, high = TICKS_S
    return tick_s if low <= tick_s <= high else 0.0


def _refuse(requirement: str, value: object, row: int | None = None, *, hint: str = "") -> NoReturn:
    path = "requests.trace" if row is None else f"requests.trace, row {row}"
    raise ScenarioError([Problem(path=path, requirement=requirement, value=value, hint=hint)])
