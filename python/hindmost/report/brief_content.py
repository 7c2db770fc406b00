"""What a report of a result says first: in a terminal, without scrolling."""

from __future__ import annotations

from collections.abc import Iterator

from hindmost.analyses.matters import Matter, matters
from hindmost.forecasted import FORECAST_METRICS, Forecast
from hindmost.metrics import METRICS
from hindmost.report.account_content import verdicts
from hindmost.report.content import Content, Table
from hindmost.report.forecast_content import is_ceiling
from hindmost.report.numbers import count, large_count, rounded, with_error
from hindmost.report.power_content import brief_power_notes
from hindmost.result import Result
from hindmost.scenario import Scenario, not_modelled
from hindmost.scenario.models import BEST_STACK
from hindmost.scenario.stack import classes_not_measured

POOLS = 5
"""Pools that are shown, at most."""
MATTERS = 3
"""Unknowns that are shown, at most."""
LOSSES = 3
"""Names of lost time that are shown, at most."""
LEAST_LOSS = 5e-4
"""Share of time below which a loss is not named."""


def brief_content(result: Result) -> Content:
    """Return what is to be known of a result first: at most 30 lines of 80 columns."""
    return Content(
        headline=_headline(result),
        tables=(
            _forecast(result),
            *_account(result),
            _pools(result),
            *_matters(result),
        ),
        notes=tuple(_notes(result)),
    )


def _headline(result: Result) -> str:
    scenario, plan = result.scenario, result.plan
    total = sum(pool.n_gpus for pool in plan.pools)
    return (
        f"{scenario.name}: {count(total)} GPUs on {scenario.fabric.name}; "
        f"{scenario.workload.model}, {large_count(plan.tokens)} tokens a step"
    )


def _forecast(result: Result) -> Table:
    """Return forecast and values: the median, the 90% interval, and the scenario's own numbers."""
    values = {
        (row["metric"], row["statistic"]): (row["value"], row["std_error"])
        for row in result.summary_rows
    }
    found = result.forecast
    rows: list[tuple[str, ...]] = []
    for metric in FORECAST_METRICS:
        own = with_error(*values[metric, "mean"])
        if found is None:
            low, high = (rounded(*values[metric, name]) for name in ("p5", "p95"))
            rows.append((METRICS[metric].heading, own, f"{low} to {high}"))
            continue
        low, middle, high = (_of(found, metric, name) for name in ("p5", "p50", "p95"))
        rows.append((METRICS[metric].heading, middle, f"{low} to {high}", own))
    headings: tuple[str, ...] = ("forecast", "median", "90% interval", "at its values")
    if found is None:
        headings = ("at its values", "mean", "90% of steps")
    return Table(headings, tuple(rows), has_rule=False)


def _of(found: Forecast, metric: str, statistic: str) -> str:
    row = next(
        row
        for row in found.summary_rows
        if (row["metric"], row["statistic"]) == (metric, statistic)
    )
    return rounded(row["value"], row["std_error"])


def _account(result: Result) -> Iterator[Table]:
    """Yield what failures leave, and what each factor lost."""
    account = result.account
    if account is None:
        return
    losses = sorted(
        (
            (share, name)
            for name, share in account.shares.items()
            if name != "kept" and share >= LEAST_LOSS
        ),
        reverse=True,
    )
    lost = ", ".join(f"{name.replace('_', ' ')} {share:.1%}" for share, name in losses[:LOSSES])
    fleet = next(
        row
        for row in result.summary_rows
        if (row["metric"], row["statistic"]) == ("fleet_mfu", "mean")
    )
    program = "nothing kept" if account.P is None else rounded(account.P, None)
    slow = account.episodes
    in_steps = "" if slow is None else f"waiting for episodes {slow['waiting']:.1%}"
    yield Table(
        ("whole runs", f"{account.hours_of.days:g} days", "lost of all GPUs and hours, by peak"),
        (
            ("S, held", rounded(account.S, None), ""),
            ("R, of that kept", rounded(account.R, None), lost or "nothing"),
            ("P, MFU of that", program, in_steps),
            ("fleet MFU", with_error(fleet["value"], fleet["std_error"]), ""),
        ),
        has_rule=False,
    )


def _pools(result: Result) -> Table:
    rows = sorted(result.pool_rows, key=lambda row: -row["slowest_frac"])
    scenario = result.scenario
    shares = {"slowest_frac": "slowest in", "wait_frac": "waiting"}
    if result.has_episodes:
        shares = {
            "slowest_frac": "slowest in",
            "slowest_in_episode_frac": "in episodes",
            "wait_frac": "waiting",
        }
    cells = [
        (
            row["pool"],
            f"{count(row['n_gpus'])} {scenario.pools[row['pool']].gpu}",
            *(f"{row[name]:.1%}" for name in shares),
            rounded(row["mfu"], 1e-4),
        )
        for row in rows[:POOLS]
    ]
    more = len(rows) - POOLS
    if more > 0:
        n_gpus = sum(row["n_gpus"] for row in rows[POOLS:])
        cells.append((f"{more} more", count(n_gpus), *("" for _ in shares), ""))
    headings = ("pool", "GPUs", *shares.values(), "MFU")
    return Table(headings, tuple(cells), has_rule=False)


def _matters(result: Result) -> Iterator[Table]:
    """Yield what moves the forecast most, over its own draws."""
    if result.forecast is None:
        return
    found = matters(result.forecast)[:MATTERS]
    if found:
        rows = tuple(_matter(one, result.scenario) for one in found)
        headings = ("matters most", "from", "to", "MFU", "by")
        yield Table(headings, rows, has_rule=False)


def _matter(one: Matter, scenario: Scenario) -> tuple[str, ...]:
    path = one.paths[0]
    basis = scenario.basis.get(path)
    known = "its stack"
    if path in scenario.unknowns:
        known = "the scenario" if basis is None else basis.kind
    effect = f"{'+' * (one.effect > 0)}{with_error(one.effect, one.effect_error)}"
    return one.name, f"{one.low:.3g}", f"{one.high:.3g}", effect, known


def _notes(result: Result) -> Iterator[str]:
    if result.slices is not None:
        # Imported where it is needed, for a quick start without slices.
        from hindmost.report.slices_content import verdict

        yield verdict(result.slices)
    if result.account is not None:
        yield from verdicts(result.account)
    if result.forecast is not None and not matters(result.forecast):
        yield f"No unknown stands out among {count(len(result.forecast.mfu))} draws."
    yield from brief_power_notes(result)
    if result.deviation is not None:
        # How far approximate rows are off.
        yield f"Method {result.inputs['method']} is {result.why}."
    yield f"Not modelled: {'; '.join(not_modelled(result.scenario))}."
    workload, inputs = result.scenario.workload, result.inputs
    own = f", at its values {_ceiling(result)}" if result.forecast is not None else ""
    yield (
        f"MFU: model FLOPs ({workload.counted_attention} attention, nothing counted twice) over "
        f"the dense {workload.mfu_dtype} peak of the GPUs in the job{own}."
    )
    n_assumed = len(result.assumed)
    found = result.forecast
    unknown = set(result.scenario.unknowns) | set({} if found is None else found.unknowns)
    yield (
        f"Seed {inputs['seed']}, {inputs['runs']} runs of {count(inputs['steps'])} steps by "
        f"{inputs['method']}{_draws(result)}. --assumed says more: {n_assumed} assumed figures, "
        f"{len(unknown)} unknown ones, errors, and where time goes."
    )


def _ceiling(result: Result) -> str:
    return "a ceiling, with software at its best" if is_ceiling(result) else "as they are given"


def _draws(result: Result) -> str:
    """Return how many draws a forecast has, and what its software is taken to be."""
    found = result.forecast
    if found is None:
        return ""
    stack = found.inputs["stack"]
    of = ""
    if stack != BEST_STACK:
        others = classes_not_measured(result.scenario, stack)
        not_measured = f" (not measured with {' or '.join(others)})" if others else ""
        of = f", software as the stack {stack}{not_measured}"
    return f"; forecast of {count(len(found.mfu))} draws{of}"
