"""What a report of a result says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hindmost.analyses.caps import MovedCap
from hindmost.metrics import METRICS, PERCENTILES
from hindmost.report.account_content import account_notes, account_tables
from hindmost.report.content import Content, Listing, Table
from hindmost.report.forecast_content import forecast_lead, forecast_tables
from hindmost.report.headline import headline
from hindmost.report.numbers import count, mega, rounded, signed_percent, with_error
from hindmost.report.power_content import power_notes, power_tables, smoothing_notes
from hindmost.result import Result
from hindmost.scenario import Counts, Scenario, not_modelled
from hindmost.scenario.batch import Batch, batches, is_even
from hindmost.scenario.models import Workload

SHOWN_METRICS = ("step_time_s", "mfu", "exposed_comm_s", "stall_s")
"""Metrics of the summary table, one a row."""

SHOWN_PERCENTILES = ("p5", "p50", "p95", "p99")
"""Percentiles of a summary table that fits into 80 columns."""

FLAG = "*"
"""Follows a percentile whose error is not to be trusted."""


def result_content(result: Result, *, caps: Sequence[MovedCap] = (), wide: bool = True) -> Content:
    """Return the content of a result's report.

    Parameters
    ----------
    result
        The result.
    caps
        What the analysis of caps found.
    wide
        Whether the summary has all percentiles, or those of `SHOWN_PERCENTILES`.
    """
    percentiles = tuple(PERCENTILES) if wide else SHOWN_PERCENTILES
    listings = (
        Listing(_caps_title(result), _caps_lines(caps)),
        Listing("Assumed", tuple(f"{one['path']}: {one['where']}" for one in result.assumed)),
        Listing("Unknown", unknown_lines(result)),
        Listing("Not modelled", tuple(not_modelled(result.scenario))),
    )
    return Content(
        headline=headline(result.scenario, result.plan),
        lead=forecast_lead(result),
        tables=(
            *forecast_tables(result),
            summary_table(result, percentiles),
            pools_table(result),
            *power_tables(result),
            *account_tables(result),
        ),
        notes=tuple(_notes(result, percentiles)),
        listings=tuple(listing for listing in listings if listing.lines),
    )


def _notes(result: Result, percentiles: tuple[str, ...]) -> list[str]:
    inputs, workload = result.inputs, result.scenario.workload
    given = "; given this cluster, so without errors" if inputs["runs"] == 1 else ""
    notes = [
        f"MFU: model FLOPs ({_counted(workload)}, nothing counted twice) over "
        f"what the dense {workload.mfu_dtype} peak of the GPUs in the job does in that time; "
        "spares do not count.",
        f"Seed {inputs['seed']}, {inputs['runs']} runs of {count(inputs['steps'])} steps, "
        f"method {inputs['method']} ({result.why}){given}.",
    ]
    notes += _shares_of_batch(result.scenario)
    shown = {(metric, name) for metric in SHOWN_METRICS for name in percentiles}
    if not shown.isdisjoint(result.warnings):
        notes.append(f"{FLAG} few rows lie beyond it, or most of those are of one run.")
    notes += power_notes(result)
    notes += smoothing_notes(result)
    notes += account_notes(result)
    return notes


def _counted(workload: Workload) -> str:
    """Return which attention counts, in words."""
    within = workload.document_tokens is not None and workload.mfu_attention is None
    return f"{workload.counted_attention} attention{' within documents' * within}"


def _shares_of_batch(scenario: Scenario) -> list[str]:
    """Return a note on the sequences of each replica, where they are not equal."""
    if is_even(scenario.pools, scenario.workload):
        return []
    counts = Counts.of(scenario.pools, scenario.layout, scenario.spares)
    shares = batches(scenario.pools, scenario.workload, scenario.layout, counts)

    def words(batch: Batch) -> str:
        if not batch.n_more:
            return count(batch.seqs)
        return f"{count(batch.seqs)}, the first {count(batch.n_more)} {batch.seqs + batch.more:,}"

    of_pools = "; ".join(f"{name} {words(batch)}" for name, batch in shares.items())
    return [f"Sequences of each replica in a step: {of_pools}."]


def _by_key(result: Result) -> dict[tuple[str, str], tuple[float, float | None]]:
    """Return values and standard errors by metric and statistic."""
    return {
        (row["metric"], row["statistic"]): (row["value"], row["std_error"])
        for row in result.summary_rows
    }


def summary_table(result: Result, percentiles: tuple[str, ...]) -> Table:
    """Return metrics of steps at the scenario's values, with some percentiles."""
    by_key = _by_key(result)
    rows = []
    for metric in SHOWN_METRICS:
        cells = [METRICS[metric].heading, with_error(*by_key[metric, "mean"])]
        for name in percentiles:
            flag = FLAG if (metric, name) in result.warnings else ""
            cells.append(rounded(*by_key[metric, name]) + flag)
        rows.append(tuple(cells))
    # Beside a forecast it has to be said what these are.
    title = "" if result.forecast is None else "at its values"
    return Table((title, "mean", *percentiles), tuple(rows))


def pools_table(result: Result) -> Table:
    """Return pools: who computes, who waits, and who is waited for."""
    mfu, mfu_error = _by_key(result)["mfu", "mean"]
    names = ["busy_frac", "wait_frac", "slowest_frac"]
    headings = ["pool", "GPUs", "spares", "busy", "waiting", "slowest in", "MFU"]
    if result.has_episodes:
        names = [
            *("busy_frac", "busy_for_episodes_frac", "wait_frac", "wait_for_episodes_frac"),
            *("slowest_frac", "slowest_in_episode_frac"),
        ]
        headings[3:] = ["busy", "in episodes", "waiting", "for episodes"]
        headings += ["slowest in", "in episodes", "MFU"]
    has_energy = any(row["energy_j"] is not None for row in result.pool_rows)
    if has_energy:
        headings.append("MJ a step")

    def cells(row: dict[str, Any]) -> tuple[str, ...]:
        error = None if mfu_error is None else row["mfu"] / mfu * mfu_error
        return (
            row["pool"],
            count(row["n_gpus"]),
            count(row["n_spares"]),
            *(f"{row[name]:.1%}" for name in names),
            rounded(row["mfu"], error),
            *([mega(row["energy_j"])] if has_energy else []),
        )

    return Table(tuple(headings), tuple(map(cells, result.pool_rows)))


def _caps_title(result: Result) -> str:
    by_key = _by_key(result)
    step_time, mfu = (rounded(*by_key[metric, "mean"]) for metric in ("step_time_s", "mfu"))
    return f"Caps (mean step time {step_time} s, MFU {mfu})"


def _caps_lines(caps: Sequence[MovedCap]) -> tuple[str, ...]:
    """Return a line for each cap that was moved."""
    lines: dict[str, list[str]] = {}
    for row in caps:
        lines.setdefault(f"{row.path} {row.cap:.6g}", []).append(_moved_cap(row))
    return tuple(f"{cap}: {'; '.join(moved)}" for cap, moved in lines.items())


def _moved_cap(row: MovedCap) -> str:
    given_s = row.step_time_s - row.step_time_change_s
    percent = 100 * row.step_time_change_s / given_s
    percent_error, mfu_error = (
        None if row.std_error is None else scale * row.std_error
        for scale in (100 / given_s, row.mfu / row.step_time_s)
    )
    return (
        f"at {row.moved_to:.6g} step time {rounded(row.step_time_s, row.std_error)} s "
        f"({signed_percent(percent, percent_error)}), MFU {rounded(row.mfu, mfu_error)}"
    )


def unknown_lines(result: Result) -> tuple[str, ...]:
    """Return a line for each unknown, with its law."""
    laws = {
        path: law.model_dump(exclude_none=True) for path, law in result.scenario.unknowns.items()
    }
    # A software stack leaves more unknown than the scenario lists.
    more = {} if result.forecast is None else result.forecast.unknowns
    return tuple(f"{path}: {_law(law)}" for path, law in (more | laws).items())


def _law(law: dict[str, Any]) -> str:
    """Return a law's name and its numbers."""
    name = law["name"]
    shown = [f"{key} {value:g}" for key, value in law.items() if isinstance(value, float)]
    return f"{name}, {', '.join(shown)}" if shown else name
