"""Records of a log: one row each, with what is left out of the steps and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

KINDS = {
    "step": "a training step, or the mean of several, that nothing else is mixed into",
    "masked": "a record of a step that is none of the usual ones; the note says why",
    "evaluation": "an evaluation between steps",
    "checkpoint": "a checkpoint being written",
    "restart": "the job begins anew; seconds are those since the last record, where they are known",
    "compute": "time that a rank computes",
    "exposed": "time that a rank communicates and does not compute",
    "hidden": "time that a rank communicates while it computes",
    "idle": "time that a rank does neither",
    "collective": "one collective, or one that a rank has not come to; the note says which",
    "wait": "time that a rank waits in collectives for the last one to come; a part of the above",
    "missing": "a rank of which there is no file",
    "unread": "a part of a file, or a whole one, that could not be read; the note says why",
}
"""Kinds of records, and what their seconds are."""

ROWS_PER_PART = 65_536
"""Rows that wait as Python objects before they become columns: these take a tenth of the memory."""


class Records:
    """Rows of a log, collected into columns as they come.

    Parameters
    ----------
    source
        Name of the tool that wrote the log.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.counts = dict.fromkeys(KINDS, 0)
        self._rows: list[tuple[Any, ...]] = []
        self._parts: list[pl.DataFrame] = []

    def add(
        self,
        kind: str,
        *,
        step: int | None = None,
        seconds: float | None = None,
        start: float | None = None,
        rank: int | None = None,
        tokens: int | None = None,
        steps: int = 1,
        note: str | None = None,
        n_bytes: int | None = None,
    ) -> None:
        """Add a row.

        Parameters
        ----------
        kind
            One of `KINDS`.
        step
            Number of the step as the tool counts it; of several steps, that of the last one.
        seconds
            Seconds of one step; of several steps, their mean.
        start
            Seconds from the first time stamp of the log to the begin of the record.
        rank
            Rank that the seconds are of; none if they are of the whole job.
        tokens
            Tokens of one step, of the whole job.
        steps
            Steps that the seconds are the mean of, >= 1.
        note
            Why a record is masked, or what else is to be known of it.
        n_bytes
            Bytes of a collective.
        """
        self.counts[kind] += 1
        self._rows.append((rank, step, kind, start, seconds, tokens, note, steps, n_bytes))
        if len(self._rows) == ROWS_PER_PART:
            self._flush()

    def extend(self, frame: pl.DataFrame) -> None:
        """Add the rows of a frame that has columns of `add`; those it lacks are null, or 1 step."""
        import polars as pl

        self._flush()
        schema = {name: kind for name, kind in self._schema().items() if name in frame.columns}
        part = frame.select(list(schema)).cast(pl.Schema(schema))
        for kind, count in part["kind"].cast(pl.String).value_counts().iter_rows():
            self.counts[kind] += count
        self._keep(part)

    def frame(self) -> pl.DataFrame:
        """Return all rows in the order in which they came."""
        import polars as pl

        self._flush()
        schema = self._schema()
        if not self._parts:
            return pl.DataFrame(schema={"source": pl.Categorical(), **schema})
        said = [name for name in schema if any(name in part.columns for part in self._parts)]

        def with_columns(names: Sequence[str], part: pl.DataFrame) -> pl.DataFrame:
            missing = [name for name in names if name not in part.columns]
            usual = [self._usual(name).cast(schema[name]).alias(name) for name in missing]
            return part.with_columns(usual).select(names)

        rows = pl.concat([with_columns(said, part) for part in self._parts], rechunk=False)
        source = pl.lit(self.source, dtype=pl.Categorical()).alias("source")
        return with_columns(list(schema), rows).select(source, pl.all())

    def _flush(self) -> None:
        import polars as pl

        if self._rows:
            self._keep(pl.DataFrame(self._rows, schema=self._schema(), orient="row"))
            self._rows = []

    def _keep(self, part: pl.DataFrame) -> None:
        """Keep those columns of some rows that say something: of a long log few do."""
        import polars as pl

        alike = part.select(
            pl.col(name).eq_missing(self._usual(name)).all() for name in part.columns
        )
        says = [name for name in part.columns if name == "kind" or not alike[name].item()]
        self._parts.append(part.select(says))

    @staticmethod
    def _usual(name: str) -> pl.Expr:
        """Return what a column holds where nothing is said."""
        import polars as pl

        return pl.lit(1 if name == "steps" else None)

    @staticmethod
    def _schema() -> pl.Schema:
        import polars as pl

        types: dict[str, Any] = {
            "rank": pl.Int32,
            "step": pl.Int64,
            "kind": pl.Enum(list(KINDS)),
            "start": pl.Float64,
            "seconds": pl.Float64,
            "tokens": pl.Int64,
            "note": pl.Categorical(),
            "steps": pl.Int32,
            "n_bytes": pl.Int64,
        }
        return pl.Schema(types)
