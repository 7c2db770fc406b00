"""The scenario that golden values and gates are held on stays as it is."""

import tomllib
from typing import Any

import pytest
from tests.scenarios import COLOSSUS_1_BARE

import hindmost as hm
from hindmost.engines import Method
from hindmost.scenario import to_table

ROWS = {
    "order-statistics": (
        ("0x1.6c55edfbca76dp+3", "0x1.6a96e5fba8aa6p+3", "0x1.bf080021cc716p-5"),
        ("0x1.6b9bdbcd243a0p+3", "0x1.69dd17d71b6cdp+3", "0x1.bec3f608cd2e5p-5"),
        ("0x1.6b2fea58c3f73p+3", "0x1.6970031822bdcp+3", "0x1.bfe740a139715p-5"),
        ("0x1.6cb48ec5044d5p+3", "0x1.6af547be9e3e1p+3", "0x1.bf4706660f384p-5"),
    ),
    "sample": (
        ("0x1.6c5028af7acf8p+3", "0x1.6a9118745fd88p+3", "0x1.bf103b1af6f88p-5"),
        ("0x1.6b5780f966350p+3", "0x1.69977d78a2686p+3", "0x1.c00380c3cca71p-5"),
        ("0x1.6bb4861a3ce36p+3", "0x1.69f5a76d023e6p+3", "0x1.bedead3aa5034p-5"),
        ("0x1.6ca03ebb92946p+3", "0x1.6ae00d355f2dep+3", "0x1.c0318633667d6p-5"),
    ),
}
"""Step time, compute and exposed communication of four steps under seed 3, as 138b444 had them."""


def test_it_inherits_nothing_and_sets_every_default() -> None:
    table = tomllib.loads(COLOSSUS_1_BARE.read_text(encoding="utf-8"))
    assert "extends" not in table
    resolved = to_table(hm.load(COLOSSUS_1_BARE))
    for section in ("workload", "layout", "collective", "fabric", "unknowns"):
        assert set(resolved[section]) == set(table[section]), section
    assert set(resolved["causes"]) == set(table["causes"])


@pytest.mark.parametrize("method", ROWS)
def test_its_rows_are_those_of_the_preset_when_it_was_frozen(method: Method) -> None:
    steps = hm.simulate(COLOSSUS_1_BARE, seed=3, runs=1, steps=4, method=method).steps
    columns = ("step_time_s", "compute_s", "exposed_comm_s")
    rows = tuple(tuple(x.hex() for x in row) for row in steps.select(columns).iter_rows())
    assert rows == ROWS[method]


STALLED: dict[float, float] = {3.5: 0.4031, 5.0: 0.370, 7.0: 0.3188}
"""MFU by the seconds for which all GB200 stop in each step. They are done 4.4 s before the H100,
but compute less meanwhile, so that less of their communication hides."""


@pytest.mark.parametrize("method", ROWS)
@pytest.mark.parametrize("stall_s", STALLED)
def test_a_pool_that_stops_for_long_sets_the_pace(stall_s: float, method: str) -> None:
    stop: dict[str, Any] = {
        "law": {"name": "constant", "value": stall_s},
        "affects": "compute",
        "effect": "stall",
        "scope": "pool",
        "span": "step",
        "pools": ["gb200"],
    }
    sizes: dict[str, Any] = {"seed": 3, "runs": 2, "steps": 40, "method": method}
    result = hm.simulate(COLOSSUS_1_BARE, changes={"causes.stop": stop}, **sizes)
    assert result.value("mfu") == pytest.approx(STALLED[stall_s], abs=1e-3)
    assert result.pools["slowest_frac"].to_list()[2] == (1.0 if stall_s > 4 else 0.0)
    if stall_s < 4:
        unchanged = hm.simulate(COLOSSUS_1_BARE, **sizes)
        assert result.columns["step_time_s"].tolist() == unchanged.columns["step_time_s"].tolist()


def test_the_program_part_of_fleet_mfu_is_a_ratio_of_sums() -> None:
    changes = {
        "failures.job": {"scope": "job", "per_hour": 4.0},
        "recovery": {"restart_s": 300.0},
        "checkpoint": {"blocking_s": 30.0},
    }
    result = hm.simulate(COLOSSUS_1_BARE, changes=changes, seed=0, runs=8, steps=1000)
    assert result.account is not None
    assert pytest.approx(0.403226, abs=5e-7) == result.account.P
    # And not the mean of the steps' own ratios.
    assert result.steps["mfu"].mean() == pytest.approx(0.403243, abs=5e-7)
