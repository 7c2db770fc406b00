"""Renders docs/train-or-serve.md; `python -m tests.docs.train_or_serve` writes it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import hindmost as hm
from hindmost.report.worth_content import INPUTS
from hindmost.units import GIGA, MEGA
from tests.docs.markdown import ROOT

PAGE = ROOT / "docs" / "train-or-serve.md"

NAME = "colossus-1"
SEED = 0
FLEET_H100 = 550_000
"""H100-equivalents of the whole fleet, in a broker's note."""
OUTSIDE = (1.78, 2.35, 2.95)
OUTSIDE_MFU = 0.459
WIDTH = 100
WHOSE = {
    "own cost": "what owning costs, all in",
    "rental": "what one is offered",
    "analyst": "an estimate for this cluster",
    "filing": "a contract, by press reports of a filing",
}


def render() -> str:
    """Return the page."""
    parts = (head(), changes(), money(), equivalents(), serving(), sceptic(), assumed())
    return "\n\n".join(parts) + "\n"


@cache
def worth() -> hm.Worth:
    """Return what the preset is worth."""
    return hm.economics(NAME, seed=SEED)


@cache
def changed(**call: Any) -> hm.Worth:
    """Return what it is worth with something else; changes are pairs."""
    changes = dict(call.pop("changes", ()))
    return hm.economics(NAME, seed=SEED, models=[], changes=changes, **call)


def head() -> str:
    """Return what is asked, and the answer in short."""
    found = worth()
    own, needed = found.train["mfu_of_all_gpus"], found.break_even["mfu"]
    lease, even = found.lease, found.break_even["lease_usd_per_gpu_hour"]
    same = found.break_even["with_own_software"]
    pays = found.break_even["share_where_training_pays"]
    cheap = changed(outside_usd_per_gpu_hour=1.78).break_even["share_where_training_pays"]
    spread = lease["usd_per_year_over_readings"]
    return _filled(f"""# Train or serve?

In May 2026 the 220,000 mixed GPUs of Colossus 1, said to train badly, were let to a company that
serves: for $2.60 a GPU-hour by one analyst, 3 to 4 billion dollars a year by another; a filing then
named 1.25 billion a month for two sites. Is such a cluster worth more let than training on it? This
page is what `hindmost economics {NAME} --seed {SEED}` says, in words; `make references` renders it.

**In short.** Three sources have a price of this lease. Their median is one analyst's own rate,
${lease["usd_per_gpu_hour"]:.2f} a GPU-hour: {_amount(lease["usd_per_year"])} dollars a year
({_amount(spread["p5"])} to {_amount(spread["p95"])} over readings). For that money others' H100 can
be rented, at the median of seven published prices, that train as much as the cluster would at an
MFU of {needed["at_values"]:.3f} ({needed["p5"]:.2f} to {needed["p95"]:.2f}). One job on all of it
is
forecast at {own["p50"]:.3f} ({own["p5"]:.3f} to {own["p95"]:.3f}), so that letting pays. Training
pays in {pays:.0%} of all combinations of readings and draws, nearly all of these with list prices
on demand, which nobody pays for so many GPUs: with the price of a three-year rental, $1.78, in
{cheap:.0%}. It pays wherever the cluster is let for less than ${even["at_values"]:.2f}
({even["p5"]:.2f} to {even["p95"]:.2f}).

**That says more of software than of the mix.** The rented GPUs are taken to train as published of
Llama 3 on 8,192 and 16,384 H100, at 0.41 to 0.43. With the same software on both sides, where the
cluster's own H100 are forecast at {same["outside_mfu"]:.3f}, hardly anything is left but the two
prices: letting pays where a GPU here brings more than ${same["lease_usd_per_gpu_hour"]:.2f}, within
a percent of what an H100 is rented for.""")


def changes() -> str:
    """Return what would change the answer."""
    rows = [
        (
            INPUTS[one.input],
            f"{one.value:.3g}",
            f"{one.flips_at:.3g}",
            f"{one.low:.3g} to {one.high:.3g}",
            "yes" if one.is_within else "no",
        )
        for one in worth().changes
    ]
    cases = [
        ("as forecast: software as in Megatron-LM's baselines (`typical`)", worth()),
        (
            "software as in benchmark recipes (`tuned`)",
            changed(changes=(("workload.stack", "tuned"),)),
        ),
        (
            "software as good as the best kernels (`best`, a ceiling)",
            changed(changes=(("workload.stack", "best"),)),
        ),
        *(
            (f"let for ${price:.2f}", changed(lease_usd_per_gpu_hour=price))
            for price in (1.56, 1.92, 2.08, 2.60, 5.27)
        ),
        *(
            (
                f"let for $2.60, H100 rented for ${price:.2f} at an MFU of {OUTSIDE_MFU}",
                changed(
                    lease_usd_per_gpu_hour=2.60,
                    outside_usd_per_gpu_hour=price,
                    outside_mfu=OUTSIDE_MFU,
                ),
            )
            for price in OUTSIDE
        ),
    ]
    others = [
        (
            words,
            f"{one.train['mfu_of_all_gpus']['p50']:.3f}",
            f"{one.break_even['mfu']['at_values']:.3f}",
            f"{one.break_even['share_where_training_pays']:.0%}",
        )
        for words, one in cases
    ]
    return "\n\n".join(
        [
            "## What would change the answer",
            _filled(
                """Each alone, with all else at its median; *within* says whether it flips inside
its own
readings (of the MFU, inside its 90% interval)."""
            ),
            _table(("", "is", "flips at", "readings", "within"), rows),
            _filled("""And with other readings or other software:"""),
            _table(("", "MFU here", "needed", "training pays in"), others),
        ]
    )


def money() -> str:
    """Return prices by source."""
    rows = [
        (
            f"`{row['name']}`",
            WHOSE[row["whose"]],
            f"{row['low']:.2f}"
            if row["low"] == row["high"]
            else f"{row['low']:.2f} to {row['high']:.2f}",
            f"{row['usd_per_year'] / GIGA:.2f}",
            f"{row['usd_per_pflop_day']:.0f}",
        )
        for row in worth().prices
    ]
    table, train = worth().cluster, worth().train
    return "\n\n".join(
        [
            "## What an hour of it costs, and brings",
            _table(("source", "whose price", "$ a GPU-hour", "$bn a year", "$ a PFLOP-day"), rows),
            _filled(f"""Prices by type are blended over 150,000 H100, 50,000 H200 and 20,000
GB200. A
PFLOP-day is a PFLOP/s of model FLOPs for a day, at the forecast's median; on rented H100 it costs
${train["usd_per_pflop_day"]["outside"]:.0f}. To buy such a cluster takes
{_amount(table["capital_usd"])} dollars, and to run it {table["power_w"] / MEGA:.0f} MW, all in.

The filing's $5.27 is 1.25 billion a month over some 325,000 GPUs of *both* sites. The other
one has newer GPUs, so that one of these brings less of it; nothing that is published says how
much. It is the reading that sets the upper ends above. Several reports divide by the 220,000 of
one site, which gives $7.78 and is wrong. The contract has 90 days' notice after its first three
months, so that it is no rent for years. A contract that was filed in June, $11.46 for 110,000 GPUs
whose site is not stated, is in the catalogue (`lease-filing-2026-06`) and not counted. Nor is what
such a mix is offered for in a three-year rental, which is no reading of this lease; with that
price letting pays less, as the table above shows for $1.92. The analyst of $2.60 also has 5 to 6
billion dollars a year, which would be $2.59 to $3.11; his rate is taken. Owners' costs are those
of large buyers, and no reading of a price."""),
        ]
    )


def equivalents() -> str:
    """Return H100-equivalents by convention."""
    table = worth().h100_equivalents
    words = table["conventions"]
    rows = [
        (words[name], f"{table[name]:,.0f}")
        for name in ("bf16", "fp8", "lowest", "memory_bandwidth", "memory", "training")
    ]
    for key in ("serving", "serving_fp4"):
        rows += [(f"{words[key]}: {model}", f"{value:,.0f}") for model, value in table[key].items()]
    share = table["bf16"] / FLEET_H100
    mixed = worth().cluster["n_gpus"] / FLEET_H100
    return "\n\n".join(
        [
            "## How many H100 it is",
            _filled(f"""It depends on what is counted. One training job gets next to nothing from
its
GB200, because all wait for the slowest: the mix is worth what as many H100 are, where its peak is
that of {table["bf16"]:,.0f}. At inference each GPU counts for what it is. "{mixed:.0%} of the
fleet", 220,000 of {FLEET_H100:,} H100-equivalents, divides GPUs by equivalents: by peak it is
{share:.1%}."""),
            _table(("H100-equivalents", "GPUs"), rows),
            _filled("""Published ratios of H200 and GB200 to H100 at inference, 1.17 and 2.76
(Qwen3-32B in
FP8, predicted by AIConfigurator), 1.12 and 3.32 (Llama 2 70B) and 1.40 and 4.20 (Llama 3.1 405B;
both MLPerf v5.1 offline, FP4 on GB200), make 264,000, 272,000 and 304,000 of this mix."""),
        ]
    )


def serving() -> str:
    """Return what it would serve."""
    found = worth()
    rows = [
        (
            one["model"],
            f"{one['engine']}, {one['dtype']}",
            f"{one['output_tokens_per_s'] / MEGA:,.0f}",
            f"{one['output_tokens_per_s_per_gpu']:,.0f}",
            f"{one['usd_per_million_tokens']['input']:.3f}",
            f"{one['usd_per_million_tokens']['output']:.3f}",
        )
        for one in found.serve
    ]
    return "\n\n".join(
        [
            "## What it would serve",
            _filled("""Prompts and answers of 1,000 tokens, at the batch that gives most, without
any limit
on how long a user waits: floors of what a million tokens have to bring so that serving is worth the
median price of letting. Only GPU-hours are counted, all of them busy; prompts bear the time of
their passes."""),
            _table(
                ("model", "by", "million tokens/s", "tokens/s a GPU", "$ a M in", "$ a M out"), rows
            ),
        ]
    )


def sceptic() -> str:
    """Return what a sceptical reader should ask."""
    account = worth().train["account"]
    tuned = changed(changes=(("workload.stack", "tuned"),))
    return _filled(f"""## What a sceptic should ask

- **Is the forecast too low?** It takes the software of published baselines, in one job on all GPUs
  whose batch is not known. Benchmark recipes come to {tuned.train["mfu_of_all_gpus"]["p50"]:.3f}.
- **Are both sides of one size?** No. The MFU on rented GPUs is of jobs of 8,192 to 16,384, of which
  the money rents some fifteen; the cluster is one job of 220,000.
- **Do failures count?** On neither side, and they would weigh on the large job: at published rates
  and with restarts of ten minutes one job on all of it keeps R = {account["R"]:.2f} of its time, a
  fleet MFU of {account["fleet_mfu_at_forecast"]:.3f}. Counting them makes letting pay more.
- **Must it be one job?** No. [Three jobs](colossus.md), one for each generation, wait for no other
  generation, and use GB200 for what they are.
- **Are there so many H100 to rent?** At the median, the money rents {_rented():,.0f} of them.
Nobody
  offers that many at a list price, so that the price of renting would rise, which favours training
  on one's own.
- **Are readings independent?** Each is as good as any other, and those of letting go with all of
  renting. Those of one year and one market are not independent: where renting is dear, letting
  brings more, which makes extremes less likely than they are here.
- **What is left out?** Taxes, sales, staff, networks and storage of tenants, empty months, and the
  worth of having a model earlier.""")


def _rented() -> float:
    found = worth()
    at = {one.input: one.value for one in found.changes}
    n_gpus: int = found.cluster["n_gpus"]
    return float(n_gpus * at["lease_usd_per_gpu_hour"] / at["outside_usd_per_gpu_hour"])


def assumed() -> str:
    """Return every figure that is assumed, and every reading with its source."""
    found = worth()
    readings = [
        *found.inputs["lease_usd_per_gpu_hour"],
        *found.inputs["outside_usd_per_gpu_hour"],
        *found.inputs["outside_mfu"],
    ]
    lines = [f"- `{one['name']}`, {one['date']}: {one['where']}" for one in readings]
    items = [f"- {what}" for what in found.assumed]
    return "\n\n".join(["## Readings", "\n".join(lines), "## What is assumed", "\n".join(items)])


def _amount(usd: float) -> str:
    return f"{usd / GIGA:.2f} billion"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rules = [":---", *["---:"] * (len(headings) - 1)]
    lines = [headings, rules, *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _filled(text: str) -> str:
    """Return a text with lines of at most the width; headings and items keep their lines."""
    parts = []
    for block in text.split("\n\n"):
        items = re.split(r"\n(?=- )", block)
        for item in items:
            is_item = item.startswith("- ")
            indent = "  " if is_item else ""
            words = " ".join(item.split())
            parts.append(
                (
                    textwrap.fill(words, WIDTH, subsequent_indent=indent, break_on_hyphens=False),
                    is_item,
                )
            )
    lines = []
    for number, (part, is_item) in enumerate(parts):
        joined = is_item and number > 0 and parts[number - 1][1]
        lines.append(("\n" if joined else "\n\n" if number else "") + part)
    return "".join(lines)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
