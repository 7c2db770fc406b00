"""Operations of training jobs as ByteDance's StragglerAnalysis has them, in Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hindmost.logs.reader import Reader
from hindmost.logs.records import Records
from hindmost.logs.source import Source

if TYPE_CHECKING:
    import polars as pl

# Types and what they count as are those of StragglerAnalysis at 8efcd7f: what its what-if analysis
# takes as communication (analysis_util.py), and for types that its samples lack, its timelines
# (to_timeline.py). Clipping of gradients is there since it waits for the norm over all ranks.
COMPUTE = (
    *("forward-compute", "backward-compute", "backward-wgrad-compute", "forward-backward"),
    *("optimizer", "gc", "data-load", "data-sync"),
)
DATA_PARALLEL = (
    *("params-all-gather", "params-all-gather-nonoverlapping", "separate-grads-all-reduce"),
    *("grads-reduce-scatter", "grads-reduce-scatter-nonoverlapping"),
)
"""Collectives among the ranks of one stage."""
COMMUNICATION = (
    *DATA_PARALLEL,
    *("embedding-grads-all-reduce", "layernorm-grads-all-reduce"),
    *("optimizer-clip-main-grad", "optimizer-inner-step"),
    *("forward-send", "forward-recv", "backward-send", "backward-recv"),
    *("forward-send-backward-recv", "backward-send-forward-recv"),
    *("tp-reducescatter", "tp-allgather", "tp-allreduce"),
)
COLUMNS = ("rank", "step", "optype", "start_ts", "duration", "stage", "seq_id")
ROWS_AT_ONCE = 4_000_000
"""Rows of steps that are in memory at a time, unless one step has more."""


def operations(path: Path) -> Iterator[pl.DataFrame]:
    """Yield the operations of a job, some whole steps at a time.

    Parameters
    ----------
    path
        A Parquet file with at least `COLUMNS`.

    Yields
    ------
    polars.DataFrame
        All columns of the file, with ``begin_ns`` and ``end_ns`` from the begin of the step and
        ``is_communication``. Operations whose time is no number, or is negative, are left out.
    """
    import polars as pl

    scan = pl.scan_parquet(path).with_columns(pl.col("optype").cast(pl.String))
    steps = scan.select("step").collect()["step"].drop_nulls().value_counts().sort("step")
    batch = steps["count"].cum_sum() // ROWS_AT_ONCE
    seconds = pl.col("start_ts", "duration").cast(pl.Float64)
    begin = (pl.col("start_ts") * 1e9).round().cast(pl.Int64)
    for some in steps.with_columns(batch=batch).partition_by("batch"):
        rows = scan.filter(pl.col("step").is_in(some["step"].implode())).with_columns(seconds)
        yield (
            rows.filter(
                pl.all_horizontal(pl.col("start_ts", "duration").is_between(0, 1e8)),
                pl.col("rank").is_not_null(),
            )
            .with_columns(
                begin_ns=begin,
                end_ns=begin + (pl.col("duration") * 1e9).round().cast(pl.Int64),
                is_communication=pl.col("optype").is_in(COMMUNICATION).fill_null(value=False),
            )
            .collect()
        )


def _is_job(source: Source) -> bool:
    import polars as pl

    if not source.head.startswith(b"PAR1"):
        return False
    try:
        return set(COLUMNS) <= set(pl.scan_parquet(source.path).collect_schema().names())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        return False


def _read(sources: Sequence[Source], records: Records) -> None:
    import polars as pl

    n_files = 0
    for source in sources:
        try:
            if n_files:
                source.unread.append(f"{source.path.name} is another job")
                continue
            for rows in operations(source.path):
                n_files = 1
                unknown = rows.filter(~pl.col("optype").is_in((*COMPUTE, *COMMUNICATION)))
                if kinds := unknown["optype"].drop_nulls().unique().sort().to_list():
                    said = f"{', '.join(kinds)} are not known, and count as computing"
                    source.unread.append(f"operations {said}")
                records.extend(_shares(rows))
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
            source.unread.append(f"{source.path.name} is cut off or damaged")
        source.told(source.n_bytes)


def _shares(rows: pl.DataFrame) -> pl.DataFrame:
    """Return what the steps of each rank consist of, and the steps of the whole job."""
    import polars as pl

    from hindmost.logs.intervals import Shares

    steps = rows.group_by("step").agg(
        first_ns=pl.col("begin_ns").min(), span_ns=pl.col("end_ns").max() - pl.col("begin_ns").min()
    )
    # Steps one after another on one axis, so that all of a rank are measured together.
    steps = steps.sort("step").with_columns(at_ns=pl.col("span_ns").cum_sum() - pl.col("span_ns"))
    rows = rows.join(steps, on="step").with_columns(
        pl.col("begin_ns", "end_ns") - pl.col("first_ns") + pl.col("at_ns")
    )
    begin_ns = steps["at_ns"].to_numpy()
    spans = begin_ns, begin_ns + steps["span_ns"].to_numpy()
    frames = [
        steps.select("step", kind=pl.lit("step"), seconds=pl.col("span_ns") * 1e-9),
        _waits(rows),
    ]
    for (rank,), mine in rows.group_by("rank", maintain_order=True):
        shares = Shares.of(
            mine["begin_ns"].to_numpy(),
            mine["end_ns"].to_numpy(),
            mine["is_communication"].to_numpy(),
            spans=spans,
        )
        of_kind = {
            "compute": shares.compute_ns,
            "exposed": shares.exposed_ns,
            "hidden": shares.hidden_ns,
            "idle": shares.idle_ns,
        }
        # A rank without operations in a step was not recorded in it, and not idle.
        recorded = pl.col("step").is_in(mine["step"].unique().implode())
        frames += [
            steps.select(
                "step", kind=pl.lit(kind), seconds=pl.Series(time_ns) * 1e-9, rank=rank
            ).filter(recorded)
            for kind, time_ns in of_kind.items()
        ]
    return pl.concat(frames, how="diagonal_relaxed").sort("step", maintain_order=True)


def _waits(rows: pl.DataFrame) -> pl.DataFrame:
    """Return how long ranks wait in collectives of data parallelism for the last one of a stage.

    These all leave together, and are in the data of all ranks; a pipeline's sends and receives
    wait for one rank each, and are no measure of a rank.
    """
    import polars as pl

    met = rows.filter(pl.col("optype").is_in(DATA_PARALLEL))
    shortest = pl.col("duration").min().over("step", "optype", "stage", "seq_id")
    waits = met.with_columns(wait=pl.col("duration") - shortest)
    return (
        waits.group_by("step", "rank")
        .agg(pl.col("wait").sum().alias("seconds"))
        .select("step", "rank", "seconds", kind=pl.lit("wait"))
        .sort("step", "rank")
    )


READER = Reader(name="bytedance", recognises=_is_job, read=_read)
"""The reader of jobs of StragglerAnalysis."""
