"""Tables of step times: CSV and Parquet with named columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from hindmost.errors import Problem, ScenarioError, did_you_mean
from hindmost.logs.reader import Reader
from hindmost.logs.records import Records
from hindmost.logs.source import Source

if TYPE_CHECKING:
    import polars as pl

ALIASES = {
    "step": ("step", "global_step", "train_step", "iteration", "iter", "step_marker"),
    "seconds": (
        *("seconds", "step_time", "step_seconds", "train_step_time", "step_duration"),
        *("iteration_time", "iteration_seconds", "iter_time", "elapsed_time_per_iteration"),
    ),
    "rank": ("rank", "global_rank", "worker"),
    "start": ("start", "start_time"),
    "tokens": ("tokens", "tokens_per_step", "n_tokens"),
    "masked": ("masked", "is_masked"),
}
"""Names of columns by what they hold; times may end in a unit."""
UNITS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
"""Seconds of each unit at the end of a name; without one it is seconds."""
SEPARATORS = (",", "\t", ";")
TIMES = ("seconds", "start")


def reader_of(columns: Mapping[str, str] | None = None) -> Reader:
    """Return the reader of tables.

    Parameters
    ----------
    columns
        Names of columns by what they hold, a key of `ALIASES` each; others are told by their names.

    Raises
    ------
    ScenarioError
        If a key is another one.
    """
    given = dict(columns or {})
    problems = [
        Problem(
            path=f"columns.{key}",
            requirement="must be left out",
            hint=did_you_mean(key, ALIASES),
        )
        for key in given
        if key not in ALIASES
    ]
    if problems:
        raise ScenarioError(problems)
    return Reader(
        name="table", recognises=partial(_is_table, given), read=partial(_read_tables, given)
    )


def _is_table(given: Mapping[str, str], source: Source) -> bool:
    names = _names(source)
    return names is not None and "seconds" in _found(given, names)


def _read_tables(given: Mapping[str, str], sources: Sequence[Source], records: Records) -> None:
    import polars as pl

    for source in sources:
        names = _names(source) or []
        found = _found(given, names)
        try:
            table = _scan(source).select(_columns(found)).collect()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
            source.unread.append(f"{source.path.name} is cut off or damaged")
            continue
        source.told(source.n_bytes)
        if "step" not in table.columns:
            per = ["rank"] if "rank" in table.columns else []
            count = pl.int_range(pl.len(), dtype=pl.Int64)
            table = table.with_columns(step=count.over(per) if per else count)
        if "start" in table.columns:
            table = table.with_columns(pl.col("start") - pl.col("start").min())
        is_time = pl.col("seconds").is_finite() & (pl.col("seconds") > 0)
        is_masked = pl.col("masked") if "masked" in table.columns else pl.lit(False)
        note = (
            pl.when(~is_time.fill_null(False))
            .then(pl.lit("no positive number of seconds"))
            .when(is_masked)
            .then(pl.lit("masked by the table"))
        )
        table = table.with_columns(note=note.otherwise(None))
        kind = pl.when(pl.col("note").is_null()).then(pl.lit("step")).otherwise(pl.lit("masked"))
        records.extend(table.with_columns(kind=kind))


def _names(source: Source) -> list[str] | None:
    """Return the names of the columns of a table, or None if it is none."""
    import polars as pl

    if source.head.startswith(b"PAR1"):
        try:
            return pl.scan_parquet(source.path).collect_schema().names()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
            return None
    header, end, _ = source.text.partition("\n")
    if source.is_binary or not end:
        return None
    return [name.strip().strip('"') for name in header.strip().split(_separator(header))]


def _separator(header: str) -> str:
    return max(SEPARATORS, key=header.count)


def _scan(source: Source) -> pl.LazyFrame:
    import polars as pl

    if source.head.startswith(b"PAR1"):
        return pl.scan_parquet(source.path)
    header = source.text.partition("\n")[0]
    # Numbers are parsed below, where one that is none costs its own row only.
    return pl.scan_csv(
        source.path,
        separator=_separator(header),
        infer_schema=False,
        truncate_ragged_lines=True,
        with_column_names=lambda names: [name.strip() for name in names],
    )


def _found(given: Mapping[str, str], names: Sequence[str]) -> dict[str, tuple[str, float]]:
    """Return the column of each thing that a table holds, and the seconds of its unit."""
    found: dict[str, tuple[str, float]] = {}
    for what, aliases in ALIASES.items():
        wanted = (given[what].lower(),) if what in given else aliases
        for alias in wanted:
            for name in names:
                plain, unit = _split(name) if what in TIMES else (_plain(name), 1.0)
                if alias in (plain, name.lower()):
                    found.setdefault(what, (name, unit))
    return found


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _split(name: str) -> tuple[str, float]:
    """Return the name of a time without its unit, and the seconds of the unit.

    Examples
    --------
    >>> _split("Iteration time (ms)"), _split("seconds")
    (('iteration_time', 0.001), ('seconds', 1.0))
    """
    plain = _plain(name)
    stem, _, unit = plain.rpartition("_")
    return (stem, UNITS[unit]) if stem and unit in UNITS else (plain, 1.0)


def _columns(found: Mapping[str, tuple[str, float]]) -> list[pl.Expr]:
    import polars as pl

    types: dict[str, Callable[[pl.Expr, float], pl.Expr]] = {
        "seconds": lambda column, unit: column.cast(pl.Float64, strict=False) * unit,
        "start": lambda column, unit: column.cast(pl.Float64, strict=False) * unit,
        "masked": lambda column, _: column.cast(pl.String).is_in(["1", "true", "True"]),
    }

    def whole(column: pl.Expr, _: float) -> pl.Expr:
        return column.cast(pl.Float64, strict=False).cast(pl.Int64, strict=False)

    return [
        types.get(what, whole)(pl.col(name), unit).alias(what)
        for what, (name, unit) in found.items()
    ]


READER = reader_of()
"""The reader of tables whose columns are told by their names."""
