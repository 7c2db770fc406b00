"""What a report says of power and energy."""

from __future__ import annotations

from collections.abc import Iterator

from hindmost.plan import own_steps_s
from hindmost.report.content import Table
from hindmost.report.numbers import mega, rounded
from hindmost.result import Result

JOULES_PER_MWH = 3.6e9
"""Joules of a megawatt-hour."""


def power_tables(result: Result) -> tuple[Table, ...]:
    """Return the table of power by pool and phase; none where no power is known."""
    rows = [row for row in result.power_rows if row["watts"] is not None and row["seconds"] > 0]
    if not rows:
        return ()
    error = _relative_error(result)
    cells = [
        (
            row["pool"] if row["phase"] == "compute" else "",
            row["phase"],
            rounded(row["seconds"], error and error * row["seconds"]),
            mega(row["watts"]),
            mega(row["joules"]),
        )
        for row in rows
    ]
    return (Table(("power of pool", "phase", "s", "MW", "MJ"), tuple(cells)),)


def power_notes(result: Result) -> Iterator[str]:
    """Yield sentences about energy and power of the whole cluster, or what they need."""
    found, error = result.energy, _relative_error(result)
    if found.hint is not None:
        yield f"Energy is not known: {found.hint}."
        return
    if found.token_j is None:
        return
    token = rounded(found.token_j, error and error * found.token_j)
    yield f"Energy: {mega(found.step_j)} MJ a step, {token} J a token.{_swing(result)}"
    if found.run_j is not None and found.run_token_j is not None:
        yield (
            f"Energy of whole runs: {found.run_j / JOULES_PER_MWH:,.0f} MWh a run, "
            f"{rounded(found.run_token_j, None)} J a token kept."
        )


def brief_power_notes(result: Result) -> Iterator[str]:
    """Yield a line on energy, if it is known, and one on each pool whose transitions take time."""
    found, error = result.energy, _relative_error(result)
    if found.token_j is not None:
        token = rounded(found.token_j, error and error * found.token_j)
        yield (
            f"Energy: {token} J a token; {mega(found.mean_w)} MW on average, "
            f"{mega(found.trough_w)} to {mega(found.peak_w)} in each step."
        )
    for name, seconds, hides in _transitions(result):
        if seconds:
            hides = hides.removeprefix("without variation ")
            yield f"Smoothing of power takes {name} {rounded(seconds, None)} s a step; {hides}."


def smoothing_notes(result: Result) -> Iterator[str]:
    """Yield a sentence on each pool whose transitions of power take time, or may."""
    for name, seconds, hides in _transitions(result):
        path = f"pools.{name}.smoothing.seconds_per_transition"
        is_unknown = path in result.scenario.unknowns
        if not (seconds or is_unknown):
            continue
        open_ = " (which is not known)" if is_unknown else ""
        yield (
            f"Smoothing of power: going from waiting to work takes {name} {rounded(seconds, None)} "
            f"s a step{open_}; {hides}."
        )


def _transitions(result: Result) -> Iterator[tuple[str, float, str]]:
    """Yield pools with ranks and smoothing: name, seconds of a transition, and how much hides."""
    plan = result.plan
    own_s = own_steps_s(result.scenario, plan.pools)
    for name, smoothing in result.scenario.acting_smoothing.items():
        if name not in own_s:
            continue
        hidden_s = plan.noiseless_step_s - own_s[name]
        hides = "no pool is slower, to hide it"
        if hidden_s > 0:
            hides = f"without variation {rounded(hidden_s, None)} s hide behind slower pools"
        yield name, smoothing.seconds_per_transition, hides


def _swing(result: Result) -> str:
    """Return the power of the cluster over a step, in a sentence."""
    found = result.energy
    if found.swing_w is None:
        return ""
    ramps = zip(("rises", "falls"), (found.up_w_per_s, found.down_w_per_s), strict=True)
    slopes = [f"{way} by up to {mega(rate)} MW a second" for way, rate in ramps if rate is not None]
    return (
        f" Power {mega(found.mean_w)} MW on average, from {mega(found.trough_w)} to "
        f"{mega(found.peak_w)} MW in each step, a swing of {mega(found.swing_w)} MW"
        f"{'; it ' if slopes else ''}{' and '.join(slopes)}."
    )


def _relative_error(result: Result) -> float | None:
    """Return the standard error of the mean step time over it; None for one run."""
    row = next(
        row
        for row in result.summary_rows
        if (row["metric"], row["statistic"]) == ("step_time_s", "mean")
    )
    return None if row["std_error"] is None else row["std_error"] / row["value"]
