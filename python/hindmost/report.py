"""Results as people read them."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hindmost import catalog
from hindmost.analyses.caps import MovedCap
from hindmost.metrics import METRICS, PERCENTILES
from hindmost.plan import Plan
from hindmost.result import Result
from hindmost.scenario import Scenario, not_modelled
from hindmost.storage import to_json
from hindmost.units import MEGA, counted

FORMATS = ("table", "json", "csv", "markdown")

SHOWN_METRICS = ("step_time_s", "mfu", "exposed_comm_s", "stall_s")
"""Metrics of the summary table, one a row."""

FLAG = "*"


def render(result: Result, style: str, *, caps: Sequence[MovedCap] | None = None) -> str:
    """Return a result in one of `FORMATS`, with what the analysis of caps found; not in CSV."""
    if style == "json":
        return json.dumps(to_json(result, caps=caps), indent=2, allow_nan=False) + "\n"
    if style == "csv":
        return _csv(result)
    return _text(result, caps or (), markdown=style == "markdown")


def headline(scenario: Scenario, plan: Plan) -> str:
    """Return the cluster and its job in one line."""
    pools = " + ".join(
        f"{counted(pool.n_gpus)} {catalog.gpu(scenario.pools[pool.name].gpu).name}"
        for pool in plan.pools
    )
    total = sum(pool.n_gpus for pool in plan.pools)
    return (
        f"{scenario.name}: {counted(total)} GPUs ({pools}) on {scenario.fabric.name}; "
        f"{scenario.workload.model}, {_tokens(plan.tokens)} tokens a step; "
        f"{counted(plan.n_replicas)} replica{'s' * (plan.n_replicas > 1)} of {_layout(scenario)}"
    )


def _layout(scenario: Scenario) -> str:
    """Return how ranks divide the work, in words."""
    layout = scenario.layout
    parts = [f"{layout.tensor} (tensor)"]
    if layout.context > 1:
        parts.append(f"{layout.context} (context)")
    if layout.pipeline > 1:
        chunks = f", {layout.chunks} chunks a stage" if layout.chunks > 1 else ""
        parts.append(f"{layout.pipeline} (pipeline, {layout.schedule}{chunks})")
    sharding = {
        "none": "no sharding",
        "hybrid": f"shard groups of {layout.shard_group_replicas}",
    }.get(layout.sharding, layout.sharding)
    experts = f", experts over {layout.expert}" if layout.expert > 1 else ""
    return f"{' x '.join(parts)}{experts}, {sharding}"


def _tokens(count: int) -> str:
    """Return a count of tokens in thousands, millions, billions or more."""
    exponent = 3 if count < 1e5 else 6 if count < 1e8 else 9
    exponent = max(exponent, 3 * (math.floor(math.log10(count)) // 3)) if count >= 1e9 else exponent
    return f"{count / 10**exponent:.3g}e{exponent}"


def with_error(value: float, std_error: float | None) -> str:
    """Return a value with no more digits than its error allows.

    Examples
    --------
    >>> with_error(0.41234567, 0.00123)
    '0.4123 ± 0.0012'
    >>> with_error(0.41234567, 0.0056)
    '0.412 ± 0.006'
    >>> with_error(0.41234567, None)
    '0.4123'
    """
    if std_error is None or std_error == 0 or not math.isfinite(std_error):
        return rounded(value, std_error)
    places = _places(value, std_error)
    if std_error < 0.5 * 10.0**-places:
        return f"{rounded(value, std_error)} ± {std_error:.1g}"
    return f"{rounded(value, std_error)} ± {std_error:.{places}f}"


def rounded(value: float, std_error: float | None) -> str:
    """Return a value rounded to its error, or to four digits without one."""
    if value == 0:
        return "0"
    if std_error is None or not math.isfinite(std_error):
        return f"{value:.4g}"
    if std_error == 0:
        return f"{value:.6g}"
    return f"{value:.{_places(value, std_error)}f}"


def _places(value: float, std_error: float) -> int:
    """Return the decimals that show an error: one digit of it, two if it begins with 1.

    But no more than five digits of the value.
    """
    exponent = math.floor(math.log10(std_error))
    places = -exponent + (1 if std_error / 10**exponent < 2 else 0)
    most = 4 - math.floor(math.log10(abs(value))) if value else places
    return max(min(places, most), 0)


@dataclass(frozen=True)
class Table:
    """Cells under headings, as plain text or Markdown."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def render(self, *, markdown: bool) -> str:
        """Return the table; the first column to the left, the others to the right."""
        lines = [self.headings, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.headings))]
        cells = [
            [
                cell.ljust(width) if column == 0 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            for line in lines
        ]
        if not markdown:
            rule = "  ".join("-" * width for width in widths)
            head, *body = ["  ".join(line).rstrip() for line in cells]
            return "\n".join([head, rule, *body])
        rule = "|".join(
            "-" * (width + 2) if column == 0 else "-" * (width + 1) + ":"
            for column, width in enumerate(widths)
        )
        head, *body = [f"| {' | '.join(line)} |" for line in cells]
        return "\n".join([head, f"|{rule}|", *body])


def _text(result: Result, caps: Sequence[MovedCap], *, markdown: bool) -> str:
    inputs = result.inputs
    scenario = result.scenario
    workload = scenario.workload
    blocks = [
        headline(scenario, result.plan),
        _summary_table(result).render(markdown=markdown),
        _pools_table(result).render(markdown=markdown),
    ]
    given = "; given this cluster, so without errors" if inputs["runs"] == 1 else ""
    notes = [
        f"MFU: model FLOPs ({workload.attention} attention, nothing counted twice) over the dense "
        f"{workload.mfu_dtype} peak of the GPUs in the job; spares do not count.",
        f"Seed {inputs['seed']}, {inputs['runs']} runs of {counted(inputs['steps'])} steps, "
        f"method {inputs['method']} ({result.why}){given}.",
    ]
    if any(metric in SHOWN_METRICS for metric, _ in result.warnings):
        notes.append(f"{FLAG} few rows lie beyond it, or most of those are of one run.")
    blocks.append("\n\n".join(notes) if markdown else "\n".join(notes))
    blocks += [
        _listed(title, lines, markdown=markdown)
        for title, lines in (
            (_caps_title(result), _caps_lines(caps)),
            ("Assumed", _assumed_lines(result)),
            ("Unknown", [f"{path}: {_law(law)}" for path, law in scenario.unknowns.items()]),
            ("Not modelled", not_modelled(scenario)),
        )
        if lines
    ]
    return "\n\n".join(blocks) + "\n"


def _by_key(result: Result) -> dict[tuple[str, str], tuple[float, float | None]]:
    """Return values and errors by metric and statistic."""
    return {
        (row["metric"], row["statistic"]): (row["value"], row["std_error"])
        for row in result.summary_rows
    }


def _summary_table(result: Result) -> Table:
    by_key = _by_key(result)
    rows = []
    for metric in SHOWN_METRICS:
        cells = [METRICS[metric].heading, with_error(*by_key[metric, "mean"])]
        for name in PERCENTILES:
            flag = FLAG if (metric, name) in result.warnings else ""
            cells.append(rounded(*by_key[metric, name]) + flag)
        rows.append(cells)
    return Table(["", "mean", *PERCENTILES], rows)


def _pools_table(result: Result) -> Table:
    mfu, mfu_error = _by_key(result)["mfu", "mean"]
    headings = ["pool", "GPUs", "spares", "busy", "waiting", "slowest in", "MFU"]
    energy = any(row["energy_j"] is not None for row in result.pool_rows)
    if energy:
        headings.append("energy a step, MJ")
    rows = [
        [
            row["pool"],
            counted(row["n_gpus"]),
            counted(row["n_spares"]),
            f"{row['busy_frac']:.1%}",
            f"{row['wait_frac']:.1%}",
            f"{row['slowest_frac']:.1%}",
            rounded(row["mfu"], None if mfu_error is None else row["mfu"] / mfu * mfu_error),
            *([_megajoules(row["energy_j"])] if energy else []),
        ]
        for row in result.pool_rows
    ]
    return Table(headings, rows)


def _megajoules(energy_j: float | None) -> str:
    return "" if energy_j is None else f"{energy_j / MEGA:.4g}"


def _caps_title(result: Result) -> str:
    by_key = _by_key(result)
    step_time, mfu = (rounded(*by_key[metric, "mean"]) for metric in ("step_time_s", "mfu"))
    return f"Caps (mean step time {step_time} s, MFU {mfu})"


def _caps_lines(caps: Sequence[MovedCap]) -> list[str]:
    """Return a line for each cap that was moved."""
    lines: dict[str, list[str]] = {}
    for row in caps:
        lines.setdefault(f"{row.path} {row.cap:.6g}", []).append(_moved_cap(row))
    return [f"{cap}: {'; '.join(moved)}" for cap, moved in lines.items()]


def _moved_cap(row: MovedCap) -> str:
    given_s = row.step_time_s - row.step_time_change_s
    percent = 100 * row.step_time_change_s / given_s
    percent_error, mfu_error = (
        None if row.std_error is None else scale * row.std_error
        for scale in (100 / given_s, row.mfu / row.step_time_s)
    )
    return (
        f"at {row.moved_to:.6g} step time {rounded(row.step_time_s, row.std_error)} s "
        f"({'+' * (percent > 0)}{rounded(percent, percent_error)}%), "
        f"MFU {rounded(row.mfu, mfu_error)}"
    )


def _assumed_lines(result: Result) -> list[str]:
    return [f"{entry['path']}: {entry['where']}" for entry in result.assumed]


def _law(law: Any) -> str:
    table = law.model_dump(exclude_none=True)
    name = table.pop("name")
    shown = [f"{key} {value:g}" for key, value in table.items() if isinstance(value, float)]
    return f"{name}, {', '.join(shown)}" if shown else name


def _listed(title: str, lines: Sequence[str], *, markdown: bool) -> str:
    if markdown:
        return "\n".join([f"**{title}**", "", *(f"- {line}" for line in lines)])
    return "\n".join([f"{title}:", *(f"  {line}" for line in lines)])


def _csv(result: Result) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(result.summary_rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(result.summary_rows)
    return text.getvalue()
