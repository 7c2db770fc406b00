"""What a report of a cluster's worth says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hindmost.analyses.economics import Worth
from hindmost.money.train_or_lease import Flip
from hindmost.report.content import Content, Listing, Table
from hindmost.report.numbers import count, rounded
from hindmost.units import GIGA, MEGA

INPUTS = {
    "mfu": "MFU of training on it",
    "lease_usd_per_gpu_hour": "it is let for, $ a GPU-hour",
    "outside_usd_per_gpu_hour": "GPUs are rented for, $ an hour",
    "outside_mfu": "MFU on rented GPUs",
}
CONVENTIONS = {
    "bf16": "peak, BF16",
    "fp8": "peak, FP8",
    "lowest": "peak, FP4 or FP8",
    "memory_bandwidth": "memory's rate",
    "memory": "memory",
    "training": "training, one job",
}


def worth_content(found: Worth) -> Content:
    """Return the content of a report of a cluster's worth: what would change the answer first."""
    return Content(
        headline=_headline(found),
        lead=_lead(found),
        tables=(
            Table(
                ("what would change the answer", "is", "flips at", "readings", "within"),
                tuple(map(_flip, found.changes)),
            ),
            Table(
                ("source", "$ a GPU-hour", "whose", "$ a year", "$ a PFLOP-day", *_tokens(found)),
                tuple(_price(row, found) for row in found.prices),
            ),
            Table(("H100-equivalents", "GPUs"), tuple(_equivalents(found))),
            *_models(found),
        ),
        notes=tuple(_notes(found)),
        listings=_listings(found),
    )


def _headline(found: Worth) -> str:
    name, pays = found.inputs["scenario"]["name"], found.break_even["training_pays_at_values"]
    what = "training on it pays" if pays else "letting it pays"
    share = found.break_even["share_where_training_pays"]
    return (
        f"{name}, {count(found.cluster['n_gpus'])} GPUs: {what} at the median of all readings; "
        f"training pays in {share:.0%} of all combinations"
    )


def _lead(found: Worth) -> tuple[str, ...]:
    mfu, lease = found.break_even["mfu"], found.break_even["lease_usd_per_gpu_hour"]
    own, let = found.train["mfu_of_all_gpus"], found.lease
    spread = let["usd_per_year_over_readings"]
    over = (
        f" (p5 to p95 over readings {_amount(spread['p5'])} to {_amount(spread['p95'])})"
        if spread["p5"] < spread["p95"]
        else ""
    )
    lines = [
        f"Let at ${_two(let['usd_per_gpu_hour'])} a GPU-hour it brings "
        f"${_amount(let['usd_per_year'])} a year{over}.",
        f"Training on it costs as much as letting it and renting GPUs at an MFU of "
        f"{_mfu(mfu['at_values'])} ({_mfu(mfu['p5'])} to {_mfu(mfu['p95'])}); it is forecast at "
        f"{_mfu(own['p50'])} ({_mfu(own['p5'])} to {_mfu(own['p95'])}).",
        f"At that forecast both cost the same where it is let for "
        f"${_two(lease['at_values'])} a GPU-hour ({_two(lease['p5'])} to {_two(lease['p95'])}).",
    ]
    return tuple(lines)


def _flip(one: Flip) -> tuple[str, ...]:
    return (
        INPUTS[one.input],
        rounded(one.value, None),
        rounded(one.flips_at, None),
        rounded(one.low, None)
        if one.low == one.high
        else f"{rounded(one.low, None)} to {rounded(one.high, None)}",
        "yes" if one.is_within else "no",
    )


def _first_model(found: Worth) -> str | None:
    return found.serve[0]["model"] if found.serve else None


def _tokens(found: Worth) -> tuple[str, ...]:
    return ("$ a M in", "$ a M out") if found.serve else ()


def _price(row: Mapping[str, Any], found: Worth) -> tuple[str, ...]:
    low, high = row["low"], row["high"]
    price = _two(low) if low == high else f"{_two(low)} to {_two(high)}"
    model = _first_model(found)
    tokens: tuple[str, ...] = ()
    if model is not None:
        cost = row["usd_per_million_tokens"][model]
        tokens = (rounded(cost["input"], None), rounded(cost["output"], None))
    return (
        row["name"],
        price,
        row["whose"],
        _amount(row["usd_per_year"]),
        rounded(row["usd_per_pflop_day"], None),
        *tokens,
    )


def _equivalents(found: Worth) -> list[tuple[str, str]]:
    table = found.h100_equivalents
    rows = [
        (words, count(round(table[name])))
        for name, words in CONVENTIONS.items()
        if table[name] is not None
    ]
    for key, words in (("serving", "one format"), ("serving_fp4", "FP4 where there is")):
        rows += [
            (f"serving {model}, {words}", count(round(value)))
            for model, value in table[key].items()
            if value is not None
        ]
    return rows


def _models(found: Worth) -> list[Table]:
    if not found.serve:
        return []
    rows = tuple(
        (
            one["model"],
            f"{one['engine']} {one['dtype']}",
            rounded(one["output_tokens_per_s_per_gpu"], None),
            rounded(one["usd_per_million_tokens"]["input"], None),
            rounded(one["usd_per_million_tokens"]["output"], None),
        )
        for one in found.serve
    )
    return [Table(("serving", "by", "tokens/s a GPU", "$ a M in", "$ a M out"), rows)]


def _notes(found: Worth) -> list[str]:
    train, table = found.train, found.cluster
    costs = train["usd_per_pflop_day"]
    notes = [
        "A PFLOP-day is a PFLOP/s of model FLOPs for a day. It costs "
        f"${rounded(costs['at_lease'], None)} here at the price of letting, and "
        f"${rounded(costs['outside'], None)} on rented GPUs.",
    ]
    same = found.break_even["with_own_software"]
    if same is not None:
        notes.append(
            f"If rented H100 trained with the cluster's own software, at an MFU of "
            f"{_mfu(same['outside_mfu'])}, both would cost the same at an MFU of "
            f"{_mfu(same['mfu'])} here, or let for ${_two(same['lease_usd_per_gpu_hour'])}."
        )
    account = train["account"]
    if account is not None:
        notes.append(
            f"MFU is that of steps. Failures at the scenario's rates would leave R = "
            f"{account['R']:.3f} of the held time, a fleet MFU of "
            f"{_mfu(account['fleet_mfu_at_forecast'])}; rented GPUs fail, too."
        )
    if table["capital_usd"] is not None:
        power = f", {table['power_w'] / MEGA:.1f} MW all in" if table["power_w"] else ""
        notes.append(f"To buy: ${_amount(table['capital_usd'])}{power}.")
    if found.serve:
        one = found.serve[0]
        notes.append(
            f"Tokens: prompts of {one['input_tokens']:,.0f}, answers of "
            f"{one['output_tokens']:,.0f}, at as many requests as all can take; by source, those "
            f"of {one['model']}. Prompts bear the time of their passes."
        )
    return [*notes, *found.notes]


def _listings(found: Worth) -> tuple[Listing, ...]:
    readings = [
        *found.inputs["lease_usd_per_gpu_hour"],
        *found.inputs["outside_usd_per_gpu_hour"],
        *found.inputs["outside_mfu"],
    ]
    lines = tuple(f"{one['name']}: {one['where']}" for one in readings)
    listings = [Listing("Readings", lines)]
    if found.assumed:
        listings.append(Listing("Assumed", found.assumed))
    return tuple(listings)


def _two(usd: float) -> str:
    return f"{usd:.2f}"


def _amount(usd: float) -> str:
    """Return an amount in billions or millions."""
    return f"{usd / GIGA:.2f}bn" if usd >= GIGA else f"{usd / MEGA:.2f}M"


def _mfu(mfu: float) -> str:
    return f"{mfu:.3f}"
