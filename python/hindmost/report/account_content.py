"""What a report says of whole runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hindmost.arguments import DAYS
from hindmost.metrics import RUN_METRICS
from hindmost.report.content import Table
from hindmost.report.numbers import count, large_count, rounded, with_error
from hindmost.result import Result
from hindmost.whole_run.hours import WORDS

if TYPE_CHECKING:
    from hindmost.whole_run.account import Account

SHOWN = ("goodput", "fleet_mfu", "tokens_per_day", "n_interruptions")
"""Metrics of whole runs, in the order of a table."""
SCALES = {"tokens_per_day": (1e9, ", 1e9")}
"""What values are divided by in the table, and what its heading says then."""


def account_tables(result: Result) -> tuple[Table, ...]:
    """Return the tables of whole runs, and of slices; none without failures and slices.

    Those of whole runs are metrics, and where the time goes.
    """
    of_slices: tuple[Table, ...] = ()
    if result.slices is not None:
        # Imported where it is needed, for a quick start without slices.
        from hindmost.report.slices_content import size_table

        of_slices = (size_table(result.slices),)
    account = result.account
    if account is None:
        return of_slices
    by_key = {(row["metric"], row["statistic"]): row for row in result.summary_rows}
    rows = []
    for metric in SHOWN:
        scale, unit = SCALES.get(metric, (1.0, ""))
        mean = by_key[metric, "mean"]
        value, error = mean["value"] / scale, mean["std_error"]
        error = None if error is None else error / scale
        of_runs = account.by_run[metric] / scale
        ends = (rounded(float(end), error) for end in (of_runs.min(), of_runs.max()))
        title = f"{RUN_METRICS[metric].title}{unit}"
        rows.append((title, with_error(value, error), *ends))
    days = f"whole runs of {account.hours_of.days:g} days"
    metrics = Table((days, "mean", "lowest", "highest"), tuple(rows))
    hours = account.hours
    where = Table(
        ("where the time goes", "by peak", "GPU-hours"),
        tuple(
            (WORDS[name], f"{share:.2%}", count(round(hours[name])))
            for name, share in account.shares.items()
            if hours[name] > 0
        ),
    )
    return metrics, where, *of_slices


def account_notes(result: Result) -> Iterator[str]:
    """Yield sentences about slices and whole runs."""
    if result.slices is not None:
        from hindmost.report.slices_content import slices_notes

        yield from slices_notes(result.slices)
    account = result.account
    if account is None:
        return
    program = "nothing kept" if account.P is None else rounded(account.P, None)
    yield (
        f"Fleet MFU {rounded(account.fleet_mfu, None)} = S {rounded(account.S, None)} (of all "
        f"peak-weighted time, held by the job) x R {rounded(account.R, None)} (of that, kept) x "
        f"P {program} (MFU of steps kept)."
    )
    stops = ", ".join(
        f"{rounded(rate, None)} {name}" for name, rate in account.interruptions_per_day.items()
    )
    yield f"Interruptions a day: {stops}."
    if account.episodes is not None:
        shares = (account.episodes[name] for name in ("waiting", "computing"))
        waiting, computing = (f"{100 * share:.2g}%" for share in shares)
        yield (
            f"Of all peak-weighted time {waiting} is waiting in kept steps for replicas in "
            f"episodes, and {computing} computing longer in a rank's own."
        )
    yield from _interval(result, account)
    yield from verdicts(account)


def verdicts(account: Account) -> Iterator[str]:
    """Yield the days that tokens take, where these were asked for, and why a job gets nowhere."""
    yield from _budget(account)
    if account.warning is not None:
        yield f"{account.warning[0].upper()}{account.warning[1:]}."


def _interval(result: Result, account: Account) -> Iterator[str]:
    checkpoint, interval_s = result.scenario.enabled_checkpoint, account.hours_of.interval_s
    if checkpoint is None or interval_s is None:
        yield "No checkpoints: a failure takes all that was computed."
        return
    best = ", the best interval" if checkpoint.interval_s == "best" else ""
    yield f"A checkpoint every {rounded(interval_s, None)} s of computing{best}."


def _budget(account: Account) -> Iterator[str]:
    budget = account.budget
    if budget is None:
        return
    days = budget["days"]
    tokens = large_count(round(budget["tokens"]))
    if days["p50"] is None:
        yield f"{tokens} tokens: most runs do not get there within {DAYS[1]:,.0f} days."
        return
    late = "never" if days["p95"] is None else f"{rounded(days['p95'], None)}"
    yield (
        f"{tokens} tokens take {rounded(days['p50'], None)} days (p5 {rounded(days['p5'], None)}, "
        f"p95 {late}; {budget['n_runs']} runs)."
    )
