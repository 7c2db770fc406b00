"""What a report of a scenario beside a log says."""

from __future__ import annotations

from hindmost.fitting.against_log import Held, LogComparison, SlowestRank
from hindmost.report.content import Content, Listing, Table
from hindmost.report.numbers import count, counted, rounded, with_error

_PERCENT = 100
_OF_STEPS = {"p5": "p5 of steps", "p50": "the median", "p95": "p95 of steps"}
_QUANTITIES = {"step_time_s": "step time", "compute_s": "computing of the slowest rank"}


def log_comparison_content(found: LogComparison) -> Content:
    """Return the content of the report: statistics, slowest ranks, and sentences."""
    restarts = f", {counted(found.n_restarts, 'restart')}" if found.n_restarts else ""
    return Content(
        headline=f"{found.scenario} and what was run: {count(found.n_steps)} steps{restarts}",
        tables=log_comparison_tables(found),
        notes=(
            "± is the standard error of the difference, * a difference of more than two of them.",
            f"Seed {found.seed}, {found.runs} runs of {count(found.steps)} steps, method "
            f"{found.method}; {_QUANTITIES[found.quantity]}.",
            *(f"{note[0].upper()}{note[1:]}." for note in found.notes),
        ),
        listings=(Listing("In words", tuple(log_words(found))),),
    )


def log_comparison_tables(found: LogComparison) -> tuple[Table, ...]:
    """Return statistics, and the ranks that are the slowest most often, as tables."""
    statistics = Table(
        ("statistic", "predicted", "measured", "difference"), tuple(map(_cells, found.held))
    )
    if not found.slowest:
        return (statistics,)
    ranks = Table(("slowest rank", "predicted", "measured"), tuple(map(_share, found.slowest)))
    return statistics, ranks


def log_words(found: LogComparison) -> list[str]:
    """Return a sentence for each difference that is clear, and one for what agrees."""
    clear = [one for one in found.held if one.is_clear]
    agreeing = [one.statistic for one in found.held if not one.is_clear]
    sentences = [_sentence(one) for one in clear]
    if agreeing:
        sentences.append(f"Within two errors: {', '.join(agreeing)}.")
    if found.slowest:
        sentences.append(_slowest(found.slowest[0]))
    return sentences


def _cells(one: Held) -> tuple[str, ...]:
    scale, unit = (_PERCENT, "%") if one.unit == "share" else (1, "")
    error = one.std_error * scale
    head = f"{one.statistic}, {unit or one.unit}" if unit or one.unit else one.statistic
    difference = with_error(one.difference * scale, error)
    return (
        head,
        rounded(one.predicted * scale, error),
        rounded(one.measured * scale, error),
        f"{difference}{'*' * one.is_clear}",
    )


def _share(one: SlowestRank) -> tuple[str, ...]:
    predicted = ""
    if one.predicted is not None and one.std_error is not None:
        predicted = f"{with_error(one.predicted * _PERCENT, one.std_error * _PERCENT)}%"
    return str(one.rank), predicted, f"{one.measured * _PERCENT:.1f}%"


def _sentence(one: Held) -> str:
    if one.statistic in _OF_STEPS:
        share = one.difference / one.measured * _PERCENT
        error = one.std_error / one.measured * _PERCENT
        how = "slow" if share > 0 else "fast"
        by = with_error(abs(share), error)
        return f"Predicted, {_OF_STEPS[one.statistic]} is {by}% too {how}."
    if one.unit == "share":
        predicted, measured = (
            f"{rounded(value * _PERCENT, one.std_error * _PERCENT)}%"
            for value in (one.predicted, one.measured)
        )
    else:
        predicted, measured = (
            rounded(value, one.std_error) for value in (one.predicted, one.measured)
        )
    how = "more" if one.difference > 0 else "less"
    what = "the correlation at lag 1" if one.statistic == "lag 1" else one.statistic
    return f"Predicted, {what} is {predicted}, {how} than the {measured} that was measured."


def _slowest(one: SlowestRank) -> str:
    said = f"Rank {one.rank} was the slowest in {one.measured:.0%} of the steps"
    if one.predicted is None or one.same_rank is None or one.std_error is None:
        return f"{said}."
    expected = with_error(one.predicted * _PERCENT, one.std_error * _PERCENT)
    return (
        f"{said}; predicted is {expected}% for whichever is the slowest most often, which is this "
        f"one in {one.same_rank:.0%} of the runs."
    )
