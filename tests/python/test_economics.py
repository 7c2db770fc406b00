"""What a cluster is worth: closed forms, readings, single runs of parts, and what is refused."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import hindmost as hm
from hindmost import catalog
from hindmost.catalog import as_range
from hindmost.cli.app import cli
from hindmost.money.break_even import HOURS_PER_YEAR, Sides
from hindmost.money.equivalents import Part, by_hardware
from hindmost.money.market import market
from hindmost.money.ownership import owned
from hindmost.money.prices import all_of_cluster, blended
from hindmost.money.readings import POINTS, Reading, Readings, paired, percentiles
from hindmost.money.train_or_lease import Comparison
from hindmost.scenario import from_table, to_table
from hindmost.scenario.economics import Economics

SHARED = Path(__file__).parents[3] / "shared" / "data" / "economics.csv"

MIX = {"h100-sxm": 150_000, "h200-sxm": 50_000, "gb200-nvl72": 20_000}
N = sum(MIX.values())
PEAK = 200_000 * 989e12 + 20_000 * 2500e12
LEASES = ("lease-new-street-2026-05", "lease-mirae-2026-05", "lease-filing-2026-05")
SIZE: dict[str, Any] = {"seed": 7, "runs": 8, "steps": 20}


def worth(**arguments: Any) -> hm.Worth:
    return hm.economics("colossus-1", **{**SIZE, "models": [], **arguments})


@pytest.mark.parametrize(("outside", "expected"), [(1.78, 0.589), (2.35, 0.446), (2.95, 0.355)])
def test_break_even_has_the_worked_values(outside: float, expected: float) -> None:
    found = worth(
        lease_usd_per_gpu_hour=2.60, outside_usd_per_gpu_hour=outside, outside_mfu=0.459
    ).break_even["mfu"]
    assert found["at_values"] == pytest.approx(expected, abs=5e-4)
    assert found["at_values"] == pytest.approx(
        N * 2.60 * 0.459 * 989e12 / (outside * PEAK), rel=1e-12
    )
    # Nothing is left open, so that there is no interval.
    assert found["p5"] == found["p50"] == found["p95"] == pytest.approx(found["at_values"])


@pytest.mark.parametrize("price", [0.9, 2.60, 7.78])
@pytest.mark.parametrize("outside", [0.5, 1.78, 11.46])
@pytest.mark.parametrize("outside_mfu", [0.11, 0.459])
def test_all_inverses_of_break_even_agree(price: float, outside: float, outside_mfu: float) -> None:
    sides = Sides(n_gpus=N, peak_flop_per_s=PEAK, outside_peak_flop_per_s=989e12)
    mfu = sides.mfu(price, outside, outside_mfu)
    # What letting brings pays for as many FLOPs outside as training here at that MFU gives.
    rented = N * price / outside
    assert rented * outside_mfu * 989e12 == pytest.approx(mfu * PEAK, rel=1e-12)
    assert sides.lease(mfu, outside, outside_mfu) == pytest.approx(price, rel=1e-12)
    assert sides.outside(mfu, price, outside_mfu) == pytest.approx(outside, rel=1e-12)
    assert sides.outside_mfu(mfu, price, outside) == pytest.approx(outside_mfu, rel=1e-12)
    yearly = N * price * 8760
    assert sides.rent_per_year(mfu, outside, outside_mfu) == pytest.approx(yearly, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "price", "billions"),
    [
        ("own-hyperscaler-2026-08", 1.2441, 2.398),
        ("own-neocloud-2026-08", 1.6236, 3.129),
        ("rental-2026-08", 1.9159, 3.692),
    ],
)
def test_prices_of_the_mix_are_blended(name: str, price: float, billions: float) -> None:
    found = blended(catalog.prices(name), MIX)
    assert found is not None
    assert found.middle == pytest.approx(price, abs=5e-5)
    assert found.middle * N * HOURS_PER_YEAR == pytest.approx(billions * 1e9, abs=5e5)
    assert blended(catalog.prices(name), {"tpu-v4": 8}) is None
    assert blended(catalog.prices("index-2026-03"), MIX) is None


def test_a_cluster_is_let_for_what_its_own_sources_say() -> None:
    found = worth()
    assert found.lease["usd_per_gpu_hour"] == 2.60
    assert found.lease["usd_per_year"] == pytest.approx(5.01e9, rel=1e-3)
    by_source = {row["name"]: row for row in found.prices}
    assert by_source["lease-filing-2026-05"]["usd_per_gpu_hour"] == pytest.approx(
        1.25e9 * 12 / (325_000 * 8760), abs=5e-3
    )
    new_street = by_source["lease-new-street-2026-05"]
    assert new_street["low"] * N * 8760 == pytest.approx(3e9, rel=3e-3)
    assert new_street["high"] * N * 8760 == pytest.approx(4e9, rel=3e-3)
    # A contract for other GPUs is not this cluster's.
    assert "lease-filing-2026-06" not in by_source
    assert {row["whose"] for row in found.prices} == {"own cost", "rental", "analyst", "filing"}


def test_owning_takes_capital_and_power() -> None:
    found = owned(MIX, Economics())
    assert found.capital_usd == pytest.approx(7.333e9, rel=1e-4)
    assert found.power_w == pytest.approx(311.4e6, rel=1e-9)
    assert found.usd_per_gpu_hour == {}
    parts = owned(
        MIX, Economics(capital_years=5, power_usd_per_kwh=0.08, hosting_usd_per_gpu_hour=0.2)
    ).usd_per_gpu_hour
    assert parts["capital"] == pytest.approx(7.3333334e9 / (5 * 8760 * N), rel=1e-6)
    assert parts["power"] == pytest.approx(311.4e3 * 0.08 / N, rel=1e-9)
    assert parts["hosting"] == 0.2
    of_unknown = owned({"tpu-v4": 8}, Economics(capital_years=5))
    assert (of_unknown.capital_usd, of_unknown.power_w) == (None, None)
    shown = worth(changes={"economics.capital_years": 5, "economics.power_usd_per_kwh": 0.08})
    (row,) = [row for row in shown.prices if row["name"] == "parts"]
    assert row["usd_per_gpu_hour"] == pytest.approx(parts["capital"] + parts["power"])
    cost = shown.train["usd_per_pflop_day"]["at_own_cost"]
    assert cost == pytest.approx(row["usd_per_pflop_day"])


def test_h100_equivalents_of_the_mix_depend_on_what_is_counted() -> None:
    parts = [Part(gpu=catalog.gpu(gpu), n_gpus=n) for gpu, n in MIX.items()]
    found = by_hardware(parts, catalog.gpu("h100-sxm"))
    assert found["bf16"] == pytest.approx(250_556, abs=0.5)
    assert found["fp8"] == pytest.approx(250_531, abs=0.5)
    assert found["lowest"] == pytest.approx(301_061, abs=0.5)
    bandwidth = (150_000 * 3.35 + 50_000 * 4.8 + 20_000 * 8.0) / 3.35
    assert found["memory_bandwidth"] == pytest.approx(bandwidth, rel=1e-9)
    shown = worth().h100_equivalents
    assert {key: shown[key] for key in found} == found
    assert set(shown["conventions"]) == {*found, "training", "serving", "serving_fp4"}
    # One job waits for its slowest ranks: the mix is worth no more than as many H100 in training.
    assert 0.99 * N < shown["training"] < N


def test_a_cluster_of_one_type_stands_for_itself() -> None:
    found = hm.economics("h100-1k", models=["llama3-8b"], **SIZE).h100_equivalents
    for key in ("bf16", "fp8", "memory", "memory_bandwidth", "training"):
        assert found[key] == pytest.approx(1024, rel=1e-9), key
    assert found["serving"]["llama3-8b"] == pytest.approx(1024, rel=1e-9)
    assert found["serving_fp4"]["llama3-8b"] == pytest.approx(1024, rel=1e-9)


def test_training_and_serving_are_those_of_single_runs() -> None:
    found = worth(models=["llama3-8b"])
    trained = hm.forecast("colossus-1", **SIZE)
    for statistic in ("p5", "p50", "p95"):
        assert found.train["mfu"][statistic] == trained.value("mfu", statistic)
    table = to_table(hm.load("colossus-1"))
    table["serving"] = {"model": "llama3-8b"}
    table["requests"] = {"input_tokens": 1000, "output_tokens": 1000}
    own = hm.economics(from_table(table), **SIZE)
    (served,) = own.serve
    assert served["model"] == "llama3-8b"
    assert served == found.serve[0]
    pools = served["pools"]
    per_h100 = pools["h100"]
    whole = sum(pools[name] * n for name, n in zip(pools, MIX.values(), strict=True))
    assert served["output_tokens_per_s"] == pytest.approx(whole)
    assert served["equivalents"] == pytest.approx(whole / per_h100)
    assert served["equivalents_fp4"] > served["equivalents"]


def test_a_file_that_trains_and_serves_gives_what_serve_gives(tmp_path: Path) -> None:
    path = tmp_path / "both.toml"
    path.write_text(
        'extends = ["h100-1k"]\n[serving]\nmodel = "llama3-8b"\nslo = { tpot_s = 0.02 }\n'
        "[requests]\ninput_tokens = 2000\noutput_tokens = 300\n"
    )
    alone = hm.serve(path)
    (served,) = hm.economics(path, **SIZE).serve
    assert served["output_tokens_per_s"] == alone.total["output_tokens_per_s"]
    assert served["input_tokens"] == 2000
    cost = served["usd_per_million_tokens"]
    hours = 1024 * hm.economics(path, **SIZE).lease["usd_per_gpu_hour"]
    tokens = {key: alone.total[f"{key}_tokens_per_s"] * 3600 / 1e6 for key in ("input", "output")}
    # Prompts and answers together bear all of it.
    assert sum(cost[key] * tokens[key] for key in tokens) == pytest.approx(hours, rel=1e-9)
    path.write_text(
        path.read_text().replace("input_tokens = 2000\noutput_tokens = 300", 'trace = "x"')
    )
    with pytest.raises(hm.ScenarioError, match=r"requests\.trace must be absent"):
        hm.economics(path, **SIZE)


def test_every_reading_counts_and_ranges_are_anywhere() -> None:
    prices, problems = market(Economics(leases=LEASES), MIX, peak_over_bf16=1.0)
    assert problems == []
    assert prices is not None
    mfu = np.array([0.18, 0.24, 0.31, 0.42])
    sides = Sides(n_gpus=N, peak_flop_per_s=PEAK, outside_peak_flop_per_s=989e12)
    compared = Comparison(sides=sides, market=prices, mfu=mfu)
    found = compared.break_even()
    # By drawing: a source of each number, and a value of its range.
    random = np.random.default_rng(5)
    n = 400_000

    def drawn(readings: Readings) -> Any:
        low = np.array([one.low for one in readings.readings])
        high = np.array([one.high for one in readings.readings])
        which = random.integers(len(low), size=n)
        return low[which] + (high[which] - low[which]) * random.random(n)

    of_mfu = sides.mfu(drawn(prices.lease), drawn(prices.outside), drawn(prices.outside_mfu))
    for name, share in (("p5", 5), ("p50", 50), ("p95", 95)):
        assert found["mfu"][name] == pytest.approx(np.percentile(of_mfu, share), rel=0.01)
    of_lease = sides.lease(random.choice(mfu, n), drawn(prices.outside), drawn(prices.outside_mfu))
    for name, share in (("p5", 5), ("p50", 50), ("p95", 95)):
        expected = np.percentile(of_lease, share)
        assert found["lease_usd_per_gpu_hour"][name] == pytest.approx(expected, rel=0.01)
    pays = float((random.choice(mfu, n) > of_mfu).mean())
    assert found["share_where_training_pays"] == pytest.approx(
        pays, abs=4 * 0.5 / math.sqrt(n) + 0.005
    )


def test_a_source_of_both_prices_gives_them_together() -> None:
    """Of one type of GPU, each rental is the price of letting and of renting in one market."""
    found = hm.economics("h100-1k", models=[], outside_mfu=0.42, **SIZE).break_even["mfu"]
    for name in ("p5", "p50", "p95", "at_values"):
        assert found[name] == pytest.approx(0.42, rel=1e-9), name
    low = Reading(name="a", whose="rental", date="2026-01", low=1.0, high=3.0, where="")
    other = Reading(name="b", whose="filing", date="2026-01", low=4.0, high=4.0, where="")
    lease, outside, weight = paired(
        Readings(readings=(low, other)), Readings(readings=(low, replace(other, name="c")))
    )
    assert weight.sum() == pytest.approx(1.0)
    # Both of source a are at one place of its range; b goes with all of the other's.
    of_a = lease < 3.5
    assert weight[of_a].sum() == pytest.approx(0.5)
    np.testing.assert_array_equal(lease[of_a], outside[of_a])
    of_b = ~of_a
    assert weight[of_b & (outside == 4.0)].sum() == pytest.approx(0.25)


def test_weighted_percentiles_are_those_of_repeated_values() -> None:
    values, counts = np.array([3.0, 1.0, 2.0]), np.array([100, 700, 200])
    found = percentiles(values, counts.astype(float))
    repeated = np.repeat(values, counts)
    for name, share in (("p5", 5), ("p50", 50), ("p95", 95)):
        assert found[name] == np.percentile(repeated, share, method="inverted_cdf")
    many = np.random.default_rng(1).normal(size=4000)
    expected = percentiles(many)
    assert expected["p5"] == pytest.approx(np.percentile(many, 5))
    assert percentiles(many, np.full(4000, 0.3)) == pytest.approx(expected, abs=0.01)


def test_the_published_mfu_is_of_peaks_in_bf16() -> None:
    """The same FLOPs are half of a peak that is twice as high, on both sides."""
    bf16, fp8 = worth(), worth(changes={"workload.mfu_dtype": "fp8"})
    assert fp8.train["mfu"]["p50"] == pytest.approx(bf16.train["mfu"]["p50"] / 2, rel=0.01)
    for key in ("at_lease", "outside"):
        cost = fp8.train["usd_per_pflop_day"][key]
        assert cost == pytest.approx(bf16.train["usd_per_pflop_day"][key], rel=1e-2), key
    lease = [one.break_even["lease_usd_per_gpu_hour"]["at_values"] for one in (bf16, fp8)]
    assert lease[0] == pytest.approx(lease[1], rel=1e-2)


def test_failures_leave_a_share_of_what_is_forecast() -> None:
    account = worth().train["account"]
    mfu = worth().train["mfu"]["p50"]
    assert account["fleet_mfu_at_forecast"] == pytest.approx(account["S"] * account["R"] * mfu)
    assert 0.3 < account["R"] < 0.5
    assert hm.economics("h100-1k", models=[], **SIZE).train["account"] is None


def test_gpus_of_the_scenario_can_be_rented() -> None:
    changes = {"gpus.mine": {"extends": "h100-sxm", "peak_bf16_flop_per_s": 500e12}}
    found = worth(changes=changes, outside_gpu="mine", outside_usd_per_gpu_hour=1.0)
    sides = N * 2.60 * 0.42 * 500e12 / PEAK
    assert found.break_even["mfu"]["at_values"] == pytest.approx(sides)
    # What the cluster's own H100 reach is not what these would.
    assert found.break_even["with_own_software"] is None
    assert any("on mine as on H100" in what for what in found.assumed)


def test_a_reading_that_is_a_range_is_its_equal_parts() -> None:
    one = Reading(name="a", whose="rental", date="2026-01", low=1.0, high=3.0, where="")
    values = one.values()
    assert len(values) == POINTS
    assert values.mean() == pytest.approx(one.middle)
    assert np.diff(values) == pytest.approx(np.full(POINTS - 1, 2 / POINTS))
    other = Reading(name="b", whose="rental", date="2026-01", low=5.0, high=5.0, where="")
    both = Readings(readings=(one, other))
    assert (both.at, both.low, both.high) == (3.5, 1.0, 5.0)
    # Both count alike.
    assert (both.values() == 5.0).mean() == 0.5
    assert percentiles(np.array([2.0])) == {"p5": 2.0, "p50": 2.0, "p95": 2.0}


def test_what_flips_flips_there() -> None:
    found = worth()
    assert found.break_even["training_pays_at_values"] is False
    at = {one.input: one for one in found.changes}
    changed = {
        "lease_usd_per_gpu_hour": found.lease["usd_per_gpu_hour"],
        "outside_usd_per_gpu_hour": at["outside_usd_per_gpu_hour"].value,
        "outside_mfu": at["outside_mfu"].value,
    }
    own = found.train["mfu_of_all_gpus"]["p50"]
    assert at["mfu"].flips_at == pytest.approx(found.break_even["mfu"]["at_values"])
    for name in changed:
        again = worth(**{**changed, name: at[name].flips_at})
        assert again.break_even["mfu"]["at_values"] == pytest.approx(own, rel=1e-9), name
    # Those within their own readings come first.
    within = [one.is_within for one in found.changes]
    assert within == sorted(within, reverse=True)
    assert {one.input for one in found.changes if one.is_within} == {"outside_usd_per_gpu_hour"}


def test_prices_without_a_reading_must_be_given() -> None:
    with pytest.raises(hm.ScenarioError) as refused:
        hm.economics("palm-tpu-v4", outside_gpu="tpu-v4", **SIZE)
    text = str(refused.value)
    assert "economics.lease_usd_per_gpu_hour must be given" in text
    assert "economics.outside_usd_per_gpu_hour must be given" in text
    given = hm.economics(
        "palm-tpu-v4",
        outside_gpu="tpu-v4",
        lease_usd_per_gpu_hour=1.0,
        outside_usd_per_gpu_hour=1.0,
        models=[],
        **SIZE,
    )
    # At the same price the MFU that it takes is that of others.
    assert given.break_even["mfu"]["p50"] == pytest.approx(0.42, abs=1e-3)
    assert given.h100_equivalents["training"] is None
    assert any("No pool of h100-sxm" in note for note in given.notes)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            {"lease_usd_per_gpu_hour": -1},
            "economics.lease_usd_per_gpu_hour must be >= 1e-06, got -1",
        ),
        ({"outside_usd_per_gpu_hour": 0}, "economics.outside_usd_per_gpu_hour must be >= 1e-06"),
        ({"outside_mfu": 45.9}, "economics.outside_mfu must be <= 1, got 45.9"),
        ({"outside_gpu": "h100"}, 'did you mean "h100-'),
        ({"lease_usd_per_gpu_hour": 1e300}, "economics.lease_usd_per_gpu_hour must be <= 1e+06"),
        (
            {"changes": {"economics.leases": ["lease-mirae-2026-05"] * 2}},
            "economics.leases must name each source once",
        ),
        ({"models": ["llama3-7b"]}, "economics.models must be one of the catalogue's models"),
        ({"outside_gpu": "v100-sxm", "outside_usd_per_gpu_hour": 1}, "economics.outside_gpu"),
        ({"changes": {"economics.leases": ["x"]}}, "must be one of the catalogue's prices"),
        (
            {"changes": {"economics.leases": ["rental-2026-08"]}},
            "economics.leases must be prices of a whole cluster",
        ),
        ({"changes": {"economics.price": 3}}, "economics.price is not a known key"),
        ({"runs": 1}, "runs must be an integer from 2"),
    ],
)
def test_what_no_cluster_is_worth_is_refused(arguments: dict[str, Any], said: str) -> None:
    call = {**SIZE, "models": [], **arguments}
    if "v100" in str(arguments):
        call["changes"] = {"workload.mfu_dtype": "fp8"}
    with pytest.raises(hm.ScenarioError) as refused:
        hm.economics("colossus-1", **call)
    assert said in str(refused.value), str(refused.value)


def test_every_figure_of_prices_has_its_source() -> None:
    for name in catalog.names("prices"):
        one = catalog.prices(name)
        assert one.basis.where
        for gpu, price in one.usd_per_gpu_hour.items():
            assert gpu in catalog.names("gpus")
            assert 0.1 < as_range(price).low <= as_range(price).high < 20
    sources = {one.name for one in all_of_cluster(LEASES, MIX)}
    assert set(LEASES) <= sources


@pytest.mark.skipif(not SHARED.is_file(), reason="needs the published prices")
def test_prices_are_those_of_their_sources() -> None:
    with SHARED.open() as file:
        rows = list(csv.DictReader(file))
    ranges = {
        (row["item"], row["date"]): (float(row["value_low"]), float(row["value_high"]))
        for row in rows
        if row["unit"] == "$/GPU-h" and row["value_high"]
    }
    names = {
        "hyperscalers-2026-05": "hyperscaler",
        "specialists-2026-05": "specialty",
        "long-tail-2026-05": "long-tail",
    }
    models = {"a100-sxm": "A100 80GB", "h100-sxm": "H100 SXM", "h200-sxm": "H200 SXM"}
    for name, words in names.items():
        for gpu, price in catalog.prices(name).usd_per_gpu_hour.items():
            range_ = as_range(price)
            assert ranges[f"{models[gpu]} {words}", "2026-05"] == (range_.low, range_.high)


def test_the_command_prints_what_would_change_the_answer_first() -> None:
    call = ["economics", "colossus-1", "--seed", "7", "--runs", "8", "--steps", "20"]
    call += ["--model", "llama3-8b"]
    found = CliRunner().invoke(cli, call)
    assert found.exit_code == 0, found.output
    assert found.stdout.index("what would change the answer") < found.stdout.index("source")
    for said in ("250,556", "250,531", "lease-filing-2026-05", "Assumed:", "Readings:"):
        assert said in found.stdout
    assert "seed 7" in found.stderr
    call += ["--lease-price", "2.60", "--outside-price", "2.35", "--outside-mfu", "0.459"]
    call += ["--outside-gpu", "h100-sxm"]
    plain = CliRunner().invoke(cli, [*call, "--format", "json"])
    table = json.loads(plain.stdout)
    assert table["lease"]["usd_per_year"] == pytest.approx(N * 2.6 * 8760)
    assert table["break_even"]["mfu"]["at_values"] == pytest.approx(0.446, abs=5e-4)
    assert set(table["break_even"]["lease_usd_per_gpu_hour"]) >= {"p5", "p50", "p95"}
    assert set(table["h100_equivalents"]) >= {"bf16", "fp8", "training", "serving"}
    assert "llama3-8b" in table["h100_equivalents"]["serving"]
    for style in ("csv", "markdown"):
        shown = CliRunner().invoke(cli, [*call, "--format", style])
        assert shown.exit_code == 0
        assert "own-neocloud-2026-08" in shown.stdout
