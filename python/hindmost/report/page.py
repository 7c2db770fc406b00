"""One page on a result: a file that needs no network and runs no script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hindmost.analyses.matters import Matter, matters
from hindmost.metrics import PERCENTILES
from hindmost.money.prices import all_of_cluster
from hindmost.plots.bars import Bar, bars
from hindmost.report import html
from hindmost.report.account_content import account_notes, account_tables
from hindmost.report.attribution_content import attribution_content
from hindmost.report.content import Listing, Table
from hindmost.report.forecast_content import forecast_lead, forecast_tables
from hindmost.report.headline import headline
from hindmost.report.nearest import Published, nearest, published, within
from hindmost.report.numbers import count, rounded, with_error
from hindmost.report.power_content import power_notes, power_tables, smoothing_notes
from hindmost.report.result_content import pools_table, summary_table, unknown_lines
from hindmost.result import Result
from hindmost.scenario import not_modelled, to_table
from hindmost.whole_run.hours import WORDS

if TYPE_CHECKING:
    from hindmost.attributed import Attribution

MILLION = 1e6


def page(
    result: Result,
    *,
    source: str | None = None,
    is_interactive: bool = False,
) -> str:
    """Return the page of a result.

    Parameters
    ----------
    result
        The result, with its forecast and its attribution if it has them.
    source
        Name of the file that the result is stored in, if it is.
    is_interactive
        Whether plots can be pointed at, by a script of 0.9 MB in the page.

    Raises
    ------
    ScenarioError
        If vl-convert, which draws the plots, is not installed.
    """
    name, figures = result.scenario.name, html.Figures(are_interactive=is_interactive)
    parts = [
        html.title(name),
        *_lead(result),
        *_cluster(result),
        *_forecast(result, figures),
        *_whole_runs(result, figures),
        *_pools(result, figures),
        *_power(result, figures),
        *_why(result.attribution, figures),
        *_matters(result, figures),
        *_assumed(result),
        *_trust(result),
        *_again(result, source),
    ]
    return html.document(f"{name}: hindmost", [*parts, figures.script()])


def _lead(result: Result) -> Iterator[str]:
    lines = forecast_lead(result)
    if lines:
        yield html.paragraph(lines[0], "lead")
        return
    mfu = with_error(*_value(result, "mfu"))
    seconds = with_error(*_value(result, "step_time_s"))
    yield html.paragraph(f"At the scenario's own values MFU {mfu}, step time {seconds} s.", "lead")


def _value(result: Result, metric: str) -> tuple[float, float | None]:
    return next(
        (row["value"], row["std_error"])
        for row in result.summary_rows
        if (row["metric"], row["statistic"]) == (metric, "mean")
    )


def _cluster(result: Result) -> Iterator[str]:
    yield html.heading("Cluster and job")
    yield html.paragraph(headline(result.scenario, result.plan))
    layout, workload = result.scenario.layout, result.scenario.workload
    yield html.table(
        Table(
            ("of the job", ""),
            (
                ("tokens of a sequence", count(workload.seq_len)),
                ("number format", f"{workload.dtype}, MFU over the peak in {workload.mfu_dtype}"),
                ("GPUs of a layer", count(layout.tensor)),
                ("stages", count(layout.pipeline)),
                ("sharding", layout.sharding),
            ),
        )
    )


def _forecast(result: Result, figures: html.Figures) -> Iterator[str]:
    found = result.forecast
    if found is not None:
        yield html.heading("Forecast")
        yield figures.figure(
            result.plot("forecast"), "Draws of what is not known: median and 90% interval."
        )
        yield from map(html.table, forecast_tables(result))
        yield from (html.paragraph(line, "note") for line in forecast_lead(result)[1:])
    yield html.heading("Steps at the scenario's own values")
    yield figures.figure(
        result.plot("step_time"),
        "Step time: where most steps lie, and what share of steps takes longer than each value.",
    )
    yield html.table(summary_table(result, tuple(PERCENTILES)))


def _whole_runs(result: Result, figures: html.Figures) -> Iterator[str]:
    account = result.account
    if account is None:
        if result.slices is not None:
            yield html.heading("Slices")
            yield from map(html.table, account_tables(result))
            yield from (html.paragraph(line, "note") for line in account_notes(result))
        return
    yield html.heading("Whole runs: S x R x P")
    yield figures.figure(
        result.plot("account"), "From the peak of all GPUs and hours to the fleet MFU."
    )
    yield from map(html.table, account_tables(result))
    yield from (html.paragraph(line, "note") for line in account_notes(result))
    prices = list(_prices(result))
    if prices:
        low, high = min(prices), max(prices)
        rows = tuple(
            (WORDS[name], f"{low * hours / MILLION:.2f} to {high * hours / MILLION:.2f}")
            for name, hours in account.hours.items()
            if hours > 0
        )
        yield html.table(Table(("what it costs", "million $"), rows))
        yield html.paragraph(
            f"At ${low:.2f} to ${high:.2f} a GPU-hour, the least and the greatest of what owning "
            "and renting such GPUs costs by the catalogue (hindmost catalog prices).",
            "note",
        )


def _prices(result: Result) -> Iterator[float]:
    n_gpus: dict[str, int] = {}
    for pool in result.scenario.pools.values():
        n_gpus[pool.gpu] = n_gpus.get(pool.gpu, 0) + pool.n_gpus
    for one in all_of_cluster((), n_gpus):
        yield from (one.low, one.high)


def _pools(result: Result, figures: html.Figures) -> Iterator[str]:
    yield html.heading("Who is waited for")
    yield html.table(pools_table(result))
    if len(result.pool_rows) > 1:
        yield figures.figure(
            result.plot("slowest"), "Share of steps in which the slowest replica is of a pool."
        )
        yield figures.figure(result.plot("waiting"), "Share of time in which a rank waits.")


def _power(result: Result, figures: html.Figures) -> Iterator[str]:
    yield html.heading("Power and energy")
    if result.energy.hint is None:
        yield figures.figure(
            result.plot("power"), "Power over a mean step, of each pool and of the cluster."
        )
    yield from map(html.table, power_tables(result))
    notes = [*power_notes(result), *smoothing_notes(result)]
    yield from (html.paragraph(line, "note") for line in notes)


def _why(attribution: Attribution | None, figures: html.Figures) -> Iterator[str]:
    if attribution is None:
        return
    yield html.heading("Why")
    content = attribution_content(attribution, interactions=False)
    yield figures.figure(
        attribution.plot(), "From MFU to the ideal: what each mechanism costs (Shapley values)."
    )
    yield from map(html.table, content.tables)
    yield from (html.paragraph(line, "note") for line in content.notes)


def _matters(result: Result, figures: html.Figures) -> Iterator[str]:
    if result.forecast is None:
        return
    yield html.heading("What matters most")
    found = matters(result.forecast)
    draws = len(result.forecast.mfu)
    if not found:
        yield html.paragraph(f"No unknown stands out among {draws} draws of the forecast.")
        return
    rows = [
        Bar(one.name, one.effect, with_error(one.effect, one.effect_error), one.effect_error)
        for one in found
    ]
    plot = bars(
        rows,
        title="What moves the forecast",
        subtitle="MFU at p95 of an unknown less that at its p5, over the forecast's own draws",
        axis="MFU",
    )
    yield figures.figure(plot, f"By {draws} draws, with standard errors.")
    yield html.table(
        Table(
            ("unknown", "p5", "p95", "where its value comes from"),
            tuple(
                (
                    one.name,
                    f"{one.low:.4g}",
                    f"{one.high:.4g}",
                    _basis(one, result),
                )
                for one in found
            ),
        )
    )


def _basis(one: Matter, result: Result) -> str:
    """Return where the law of an unknown comes from."""
    path, scenario = one.paths[0], result.scenario
    if path not in scenario.unknowns:
        assert result.forecast is not None
        return f"the software stack {result.forecast.inputs['stack']} (hindmost catalog stacks)"
    basis = scenario.basis.get(path)
    return "the scenario" if basis is None else f"{basis.kind}: {basis.where}"


def _assumed(result: Result) -> Iterator[str]:
    yield html.heading("What is assumed, unknown, and not modelled")
    listings = (
        Listing("Assumed", tuple(f"{one['path']}: {one['where']}" for one in result.assumed)),
        Listing("Unknown", unknown_lines(result)),
        Listing("Not modelled", tuple(not_modelled(result.scenario))),
    )
    yield from (html.listing(one) for one in listings if one.lines)


def _trust(result: Result) -> Iterator[str]:
    yield html.heading("How far to trust it")
    rows = [one for one in published() if not one.is_fitted]
    with_fit = [one.error for one in rows if one.error is not None]
    alone = [one.stack_only_error for one in rows if one.stack_only_error is not None]
    half, most = within(with_fit, 0.5), within(with_fit, 0.9)
    half_alone, most_alone = within(alone, 0.5), within(alone, 0.9)
    yield html.paragraph(
        f"Of {len(with_fit)} published rows to which nothing was fitted, half of the predictions "
        f"are within {half:.1%} and nine in ten within {most:.1%}, with one or two numbers that "
        "are fitted on smaller scales of the same study; by a software stack alone half are within "
        f"{half_alone:.1%}, and nine in ten within {most_alone:.1%}. These are all rows of "
        "docs/validation.csv, studies of other software among them. The rows nearest to this job, "
        "one of each study:"
    )
    yield html.table(
        Table(
            ("study", "GPUs", "format", "published", "error, fitted", "error, stack alone"),
            tuple(map(_row, nearest(result.scenario))),
        )
    )


def _row(one: Published) -> tuple[str, ...]:
    fitted = "fitted to it" if one.is_fitted else _percent(one.error)
    return (
        one.family,
        f"{count(one.n_gpus)} {one.gpu}",
        one.dtype,
        f"{rounded(one.published, None)} {one.unit}",
        fitted,
        _percent(one.stack_only_error),
    )


def _percent(error: float | None) -> str:
    return "" if error is None else f"{error:+.1%}"


def _again(result: Result, source: str | None) -> Iterator[str]:
    inputs = result.inputs
    yield html.heading("Do it again")
    asked = inputs["asked"]
    options = [f"--seed {inputs['seed']}"]
    sizes = {key: asked.get(key) for key in ("runs", "steps", "precision")}
    options += [f"--{key} {value}" for key, value in sizes.items() if value is not None]
    if asked["method"] != "auto":
        options.append(f"--method {asked['method']}")
    name = source or "scenario.toml"
    yield html.code([f"hindmost run {name} {' '.join(options)}"])
    yield html.paragraph(
        f"hindmost {inputs['version']}, {inputs['runs']} runs of {count(inputs['steps'])} steps by "
        f"{inputs['method']} ({result.why}).",
        "note",
    )
    yield f"<details><summary>scenario.toml</summary>\n{html.code(_toml(result))}\n</details>"


def _toml(result: Result) -> list[str]:
    import tomli_w

    return tomli_w.dumps(_plain(to_table(result.scenario))).splitlines()


def _plain(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table without what TOML has no word for."""
    return {
        key: _plain(value) if isinstance(value, dict) else value
        for key, value in table.items()
        if value is not None
    }
