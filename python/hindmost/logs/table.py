"""Tables of step times: CSV and Parquet with named columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
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
ROWS_AT_ONCE = 1 << 18
"""Rows of a table that are read at a time."""
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


def column_names(source: Source) -> list[str]:
    """Return the names of the columns of a file that looks like a table; none of others."""
    names = _names(source) or []
    if source.head.startswith(b"PAR1"):
        return names
    header, _, rest = source.text.partition("\n")
    separator = _separator(header)
    is_even = rest.partition("\n")[0].count(separator) == header.count(separator) > 0
    return names if is_even else []


def _is_table(given: Mapping[str, str], source: Source) -> bool:
    names = _names(source)
    return names is not None and "seconds" in _found(given, names)


def _read_tables(given: Mapping[str, str], sources: Sequence[Source], records: Records) -> None:
    import polars as pl

    for source in sources:
        names = _names(source) or []
        found = _found(given, names)
        source.unread.extend(_other_times(given, names, found["seconds"][0]))
        # Rows so far, by rank, where steps have no numbers.
        counts: dict[int | None, int] = {}
        zero: float | None = None
        try:
            for part in _parts(source):
                rows = part.select(_columns(found))
                if "start" in found:
                    zero = rows["start"].min() if zero is None else zero  # type: ignore[assignment]
                    rows = rows.with_columns(pl.col("start") - zero)
                rows = rows if "step" in found else _numbered(rows, counts)
                records.extend(_told_apart(rows))
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
            source.unread.append(f"{source.path.name} is cut off or damaged")


def _parts(source: Source) -> Iterator[pl.DataFrame]:
    """Yield the rows of a table, some at a time; columns of CSV are texts."""
    import polars as pl

    if source.head.startswith(b"PAR1"):
        yield from pl.scan_parquet(source.path).collect_batches(chunk_size=ROWS_AT_ONCE)
        source.told(source.n_bytes)
        return
    header, rest = b"", b""
    for piece in source.pieces():
        text = rest + piece
        end = text.rfind(b"\n") + 1
        whole, rest = text[:end], text[end:]
        if not header:
            head, newline, whole = whole.partition(b"\n")
            header = head + newline
        if whole:
            yield _parsed(header + whole)
    if rest and header:
        # The last row of a table seldom has an end; half of it has too few columns.
        yield _parsed(header + rest)


def _parsed(text: bytes) -> pl.DataFrame:
    import polars as pl

    # Numbers are parsed later, where one that is none costs its own row only.
    return pl.read_csv(
        text,
        separator=_separator(text.partition(b"\n")[0].decode("utf-8", errors="replace")),
        infer_schema=False,
        truncate_ragged_lines=True,
        encoding="utf8-lossy",
    ).rename(str.strip)


def _numbered(rows: pl.DataFrame, counts: dict[int | None, int]) -> pl.DataFrame:
    """Return rows with the number of each among those of its rank, and count them."""
    import polars as pl

    if "rank" not in rows.columns:
        first = counts.get(None, 0)
        counts[None] = first + rows.height
        return rows.with_columns(step=pl.int_range(first, first + pl.len(), dtype=pl.Int64))
    number = pl.int_range(pl.len(), dtype=pl.Int64).over("rank")
    before = pl.col("rank").replace_strict(list(counts), list(counts.values()), default=0)
    steps = rows.with_columns(step=number + before if counts else number)
    for rank, n_rows in rows["rank"].value_counts().iter_rows():
        counts[rank] = counts.get(rank, 0) + n_rows
    return steps


def _told_apart(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with their kind: steps, and what is none with the reason."""
    import polars as pl

    is_time = pl.col("seconds").is_finite() & (pl.col("seconds") > 0)
    is_masked = pl.col("masked") if "masked" in rows.columns else pl.lit(False)
    note = (
        pl.when(~is_time.fill_null(False))
        .then(pl.lit("no positive number of seconds"))
        .when(is_masked)
        .then(pl.lit("masked by the table"))
    )
    rows = rows.with_columns(note=note.otherwise(None))
    kind = pl.when(pl.col("note").is_null()).then(pl.lit("step")).otherwise(pl.lit("masked"))
    return rows.with_columns(kind=kind)


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


def _other_times(given: Mapping[str, str], names: Sequence[str], taken: str) -> list[str]:
    """Return that other columns might hold the seconds, where nothing says which ones do."""
    others = [name for name in names if name != taken and _split(name)[0] in ALIASES["seconds"]]
    if "seconds" in given or not others:
        return []
    said = f"seconds are those of column {taken}, and not those of {', '.join(others)}"
    return [f"{said}: --column seconds=NAME names others"]


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
