"""Published rows are predicted, from two numbers fitted on the smallest scales."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import replace

import pytest

import hindmost as hm
from hindmost import catalog
from hindmost.scenario import to_table
from tests.validation import document
from tests.validation.families import (
    ABSENT,
    DATA,
    Family,
    Row,
    by_name,
    families,
    gated,
    published_scales,
    typed_families,
)
from tests.validation.fitting import CAUSES, Fit, estimate, figure, fit, fitted_on, scenario
from tests.validation.typed import BLOOM_STEP_S

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=ABSENT)

LIMITS = {
    "megascale-768": 0.03,
    "eos": 0.03,
    "eos-v4.0": 0.05,
    "eos-v4.1": 0.05,
    "megascale-6144": 0.12,
    "llama": 0.05,
    "megascale-530b": 0.05,
}

ANY = Fit(kernel_efficiency=0.5, overhead_s=0.1)

FREE = ("name", "pools.gpus.", "fabric.name", "layout.", "workload.", "models.own.")
"""What may differ between the scenarios of rows."""
FREE_OF_A_POOL = {"gpu", "n_gpus", "kernel_efficiency"}


def missed(family: Family) -> dict[tuple[int, int], float]:
    """Return the errors of predicted rows beyond their limit, by GPUs and tokens."""
    assert family.predicted
    errors = {
        (row.n_gpus, row.seq_len): estimate(family, row, fit(family)).error
        for row in family.predicted
    }
    return {row: error for row, error in errors.items() if not abs(error) < LIMITS[family.name]}


@needs_data
@pytest.mark.parametrize("name", LIMITS)
def test_every_predicted_row_is_within_its_limit(name: str) -> None:
    assert missed(by_name(name)) == {}


@pytest.mark.parametrize("family", typed_families(), ids=lambda family: family.name)
def test_predicted_rows_that_are_typed_are_within_their_limit(family: Family) -> None:
    assert missed(family) == {}


def test_every_family_with_a_limit_has_typed_rows() -> None:
    assert {family.name: family.limit for family in typed_families()} == LIMITS


@needs_data
@pytest.mark.parametrize("family", typed_families(), ids=lambda family: family.name)
def test_typed_rows_are_those_of_the_data_and_have_the_same_parts(family: Family) -> None:
    whole = by_name(family.name)
    assert set(family.fitted) == set(whole.fitted)
    assert set(family.predicted) <= set(whole.predicted)


@needs_data
def test_typed_steps_of_bloom_are_those_of_the_data() -> None:
    steps_s = published_scales("BLOOM", "2022-04-28")["iteration_time_s"].to_list()
    assert steps_s == list(BLOOM_STEP_S)


@needs_data
def test_limits_are_those_that_the_families_say() -> None:
    assert {family.name: family.limit for family in gated()} == LIMITS


@needs_data
def test_the_smallest_scales_are_fitted_and_the_rest_predicted() -> None:
    fitted = {family.name: [row.n_gpus for row in family.fitted] for family in gated()}
    predicted = {family.name: [row.n_gpus for row in family.predicted] for family in gated()}
    assert fitted == {
        "megascale-768": [256, 512],
        "eos": [512, 4096],
        "eos-v4.0": [512],
        "eos-v4.1": [256],
        "megascale-6144": [3072, 6144],
        "llama": [8192],
        "megascale-530b": [2240],
    }
    assert predicted == {
        "megascale-768": [768, 1024],
        "eos": [768, 6144, 8192, 10240, 10752],
        "eos-v4.0": [10752, 11616],
        "eos-v4.1": [512],
        "megascale-6144": [8192, 12288],
        "llama": [16384, 16384],
        "megascale-530b": [4480, 11200],
    }


@needs_data
@pytest.mark.parametrize("name", LIMITS)
def test_fitted_rows_come_out_as_published(name: str) -> None:
    family = by_name(name)
    for row in fitted_on(family):
        assert estimate(family, row, fit(family)).error == pytest.approx(0, abs=5e-4)


@needs_data
@pytest.mark.parametrize("name", LIMITS)
def test_predicted_figures_have_no_part_in_the_fit(name: str) -> None:
    family = by_name(name)
    others = [replace(row, published=1.1 * row.published) for row in family.predicted]
    assert fit(replace(family, rows=(*family.fitted, *others))) == fit(family)


def flat(table: dict[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield the key paths of a table and their values."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def every_row() -> list[Row]:
    return [row for family in families() for row in (*family.rows, *(r for _, r in family.others))]


@needs_data
def test_scenarios_differ_in_nothing_else() -> None:
    tables = [dict(flat(to_table(scenario(row, ANY)))) for row in every_row()]
    paths = sorted(set().union(*tables))
    differ = {path for path in paths if len({repr(table.get(path)) for table in tables}) > 1}
    assert {path for path in differ if not path.startswith(FREE)} == set()
    pools = {path.removeprefix("pools.gpus.") for path in paths if path.startswith("pools.")}
    set_by_rows = {path for path in pools if f"pools.gpus.{path}" in differ}
    assert set_by_rows <= FREE_OF_A_POOL


@needs_data
def test_causes_are_those_of_the_preset_whatever_the_family() -> None:
    own = {name: tomllib.loads(catalog.text("presets", name)) for name in ("measured", CAUSES)}
    expected = {**own["measured"]["causes"], **own[CAUSES]["causes"]}
    for row in every_row():
        found = to_table(scenario(row, ANY))["causes"]
        assert set(found) == set(expected)
        for name, cause in expected.items():
            assert {key: found[name][key] for key in ("scope", "span")} == {
                key: cause[key] for key in ("scope", "span")
            }
            assert found[name]["law"].items() >= cause["law"].items()
            assert found[name].get("per_hour") == cause.get("per_hour")


def numbers(value: object) -> Iterator[float]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner)
    elif isinstance(value, float):
        yield value


@needs_data
def test_the_catalogue_holds_no_predicted_figure() -> None:
    # Whole numbers are left out: 400 TFLOP/s is also 400 W.
    predicted = {
        row.published
        for family in gated()
        for row in family.predicted
        if row.published != round(row.published)
    }
    assert len(predicted) == 14
    for kind in catalog.KINDS:
        for name in catalog.names(kind):
            held = set(numbers(tomllib.loads(catalog.text(kind, name))))
            assert held & (predicted | {figure / 100 for figure in predicted}) == set()


@needs_data
def test_fitted_numbers_of_presets_come_from_fitted_rows() -> None:
    # A fit of a GPU that no family has is a fit of something else.
    fits: dict[tuple[str, str], list[float]] = {}
    for family in families():
        key = family.rows[0].gpu, family.rows[0].dtype
        fits.setdefault(key, []).append(fit(family).kernel_efficiency)
    compared = set()
    for name in catalog.names("presets"):
        table = tomllib.loads(catalog.text("presets", name))
        for pool in table.get("pools", {}).values():
            if "kernel_efficiency" not in pool:
                continue
            known = fits.get((pool["gpu"], hm.load(name).workload.dtype), [])
            assert not known or pool["kernel_efficiency"] in map(near, known), name
            compared |= {name} if known else set()
    assert compared >= {"gpt3-h100-512", "llama3-405b-8192", "megascale-175b-12288"}


def near(value: float) -> object:
    return pytest.approx(value, rel=0.01)


@needs_data
def test_our_flops_are_those_of_the_published_mfu() -> None:
    table = published_scales("MegaScale", "Table 2")
    rows = [*by_name("megascale-768").rows, *by_name("megascale-6144").rows]
    published = table["mfu_pct"].to_list()
    ours = [figure(scenario(row, ANY), "MFU %", row.published) for row in rows]
    assert ours == pytest.approx(published, rel=0.02)


@needs_data
def test_the_page_is_the_one_that_is_rendered() -> None:
    assert document.PAGE.read_text(encoding="utf-8") == document.render()
    assert document.ROWS.read_text(encoding="utf-8") == document.rows()
