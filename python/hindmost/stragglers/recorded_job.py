"""Recorded operations of a job, in an order in which they can be timed again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hindmost import _core
from hindmost.errors import Problem, ScenarioError
from hindmost.logs import bytedance
from hindmost.logs.source import Source

if TYPE_CHECKING:
    import polars as pl

KINDS: tuple[str, ...] = tuple(_core.KINDS_OF_OPERATIONS)
"""Types of operations whose place in a step is known."""


@dataclass(frozen=True, kw_only=True)
class RecordedJob:
    """A job of which some steps were recorded on all of its workers.

    Attributes
    ----------
    name : str
        Where it was read from.
    core : _core.TracedJob
        Its operations, and which of them wait for which.
    ranks : tuple of tuple of int
        The rank of each worker, by stage and then by data-parallel rank.
    """

    name: str
    core: _core.TracedJob
    ranks: tuple[tuple[int, ...], ...]

    @property
    def recorded_s(self) -> tuple[float, ...]:
        """Seconds of each step from its first begin to its last end, as recorded."""
        return tuple(self.core.recorded_s)

    @property
    def n_stages(self) -> int:
        """Stages of the pipeline."""
        return len(self.ranks)

    @property
    def n_replicas(self) -> int:
        """Data-parallel replicas."""
        return len(self.ranks[0])


def read_job(trace: str | os.PathLike[str] | pl.DataFrame) -> RecordedJob:
    """Return the job of a trace of StragglerAnalysis.

    Parameters
    ----------
    trace
        A Parquet file, or its frame, with the columns of `hindmost.logs.bytedance`; ``dp_rank``,
        ``mc`` and ``gmc`` follow from the others where it has none. Without ``mc`` and ``gmc`` a
        stage is one chunk of the model.

    Raises
    ------
    ScenarioError
        If it cannot be read, an operation is missing or there twice, or its type is not known.
    """
    import polars as pl

    if isinstance(trace, pl.DataFrame):
        name, frame = "trace", trace
    else:
        name, frame = Path(trace).name, _read(Path(trace))
    _check_columns(name, frame)
    try:
        columns = _columns(name, frame)
        core = _core.TracedJob(**columns)
    except _core.DomainError as error:
        field, value, requirement = error.args
        if value is None:
            raise _refused(name, field, "is missing") from None
        raise _refused(name, field, f"must be {requirement}", value=value) from None
    except pl.exceptions.PolarsError as error:
        raise _refused(name, "columns", f"must hold plain numbers: {error}") from None
    return RecordedJob(
        name=name,
        core=core,
        ranks=_ranks(name, frame, columns["stage"], columns["replica"]),
    )


def _read(path: Path) -> pl.DataFrame:
    import polars as pl

    source = Source.of(path, lambda _: None)
    if not bytedance.READER.recognises(source):
        wanted = ", ".join(bytedance.COLUMNS)
        requirement = f"must be a Parquet file of StragglerAnalysis, with the columns {wanted}"
        raise _refused(path.name, "", requirement)
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError):
        raise _refused(path.name, "", "must not be cut off or damaged") from None


def _check_columns(name: str, frame: pl.DataFrame) -> None:
    missing = [column for column in bytedance.COLUMNS if column not in frame.columns]
    if missing:
        raise _refused(name, ", ".join(missing), "is missing")
    for column in bytedance.COLUMNS:
        if n := frame[column].null_count():
            raise _refused(name, column, "must be given for all operations", value=f"{n} without")


def _columns(name: str, frame: pl.DataFrame) -> dict[str, Any]:
    """Return the columns that the core takes."""
    import polars as pl

    # Ends are added up in the precision of the file: transfers are differences of them, and far
    # shorter than a step.
    end = (pl.col("start_ts") + pl.col("duration")).cast(pl.Float64)
    replica = (
        pl.col("dp_rank")
        if "dp_rank" in frame.columns
        else pl.col("rank").rank("dense").over("stage") - 1
    )
    chunk, virtual_stage = (
        pl.col(column).fill_null(-1) if column in frame.columns else pl.lit(absent)
        for column, absent in (("mc", 0), ("gmc", -1))
    )
    found = frame.select(
        step=pl.col("step").cast(pl.Int64),
        replica=replica.cast(pl.UInt32),
        stage=pl.col("stage").cast(pl.UInt32),
        number=pl.col("seq_id").cast(pl.UInt32),
        chunk=chunk.cast(pl.Int32),
        virtual_stage=virtual_stage.cast(pl.Int32),
        start_s=pl.col("start_ts").cast(pl.Float64),
        end_s=end,
        duration_s=pl.col("duration").cast(pl.Float32),
    )
    return {**{one.name: one.to_numpy() for one in found}, "kind": _kinds(name, frame["optype"])}


def _kinds(name: str, optype: pl.Series) -> NDArray[np.uint8]:
    """Return the number of each operation's type in `KINDS`."""
    import polars as pl

    if optype.dtype not in (pl.Categorical, pl.Enum):
        optype = optype.cast(pl.String).cast(pl.Categorical)
    # Few names are looked up rather than one a row.
    used = optype.unique()
    names = used.cast(pl.String).to_list()
    if unknown := sorted(set(names) - set(KINDS)):
        hint = f"known are {', '.join(KINDS)}"
        requirement = "must be a type whose place in a step is known"
        raise _refused(name, "optype", requirement, value=unknown[0], hint=hint)
    codes = used.to_physical().to_numpy()
    numbers = np.zeros(int(codes.max(initial=0)) + 1, dtype=np.uint8)
    numbers[codes] = [KINDS.index(one) for one in names]
    of_rows: NDArray[np.uint8] = numbers[optype.to_physical().to_numpy()]
    return of_rows


def _ranks(
    name: str, frame: pl.DataFrame, stage: NDArray[np.uint32], replica: NDArray[np.uint32]
) -> tuple[tuple[int, ...], ...]:
    """Return the rank of each worker."""
    rank = frame["rank"].to_numpy()
    n_stages, n_replicas = int(stage.max()) + 1, int(replica.max()) + 1
    worker = stage.astype(np.int64) * n_replicas + replica
    ranks = np.zeros(n_stages * n_replicas, dtype=np.int64)
    ranks[worker] = rank
    if np.any(ranks[worker] != rank):
        raise _refused(name, "rank", "must be one of each dp_rank and stage")
    return tuple(tuple(row) for row in ranks.reshape(n_stages, n_replicas).tolist())


def _refused(name: str, path: str, requirement: str, **more: Any) -> ScenarioError:
    return ScenarioError([Problem(path=path, requirement=requirement, source=name, **more)])
