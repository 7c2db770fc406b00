"""Loading of files, presets and changes: layers, defaults, round trips, refusals."""

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import gamma

import hindmost as hm
from hindmost.scenario import from_table, parse_change, to_table

SMALL = """
[pools.h100]
gpu = "h100-sxm"
n_gpus = 64
[fabric]
name = "infiniband-ndr"
[workload]
model = "llama3-70b"
seq_len = 4096
microbatch_seqs = 1
n_microbatches = 1
recompute = "full"
[layout]
tensor = 8
sharding = "hybrid"
shard_group_replicas = 8
"""

OWN = """
[causes.own]
law = { name = "lognormal", sigma = 0.01, cap = 1.05 }
affects = "compute"
effect = "slowdown"
scope = "gpu"
span = "step"
"""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(**files: str) -> hm.Scenario:
    """Write files of given names and texts, and load the last one."""
    for name, text in files.items():
        Path(f"{name}.toml").write_text(text)
    return hm.load(f"{name}.toml")


def refused(**files: str) -> str:
    """Return what is said of the last of some files."""
    with pytest.raises(hm.ScenarioError) as caught:
        load(**files)
    return str(caught.value)


def test_pools_stand_in_the_order_in_which_they_are_first_named() -> None:
    upper = '[pools.a]\ngpu = "h200-sxm"\nn_gpus = 8\n[pools.h100]\nn_gpus = 16\n'
    scenario = load(base=SMALL, top=f'extends = ["base.toml"]\n{upper}')
    assert [(name, pool.n_gpus) for name, pool in scenario.pools.items()] == [
        ("h100", 16),
        ("a", 8),
    ]


def test_a_later_base_wins_over_an_earlier_one_and_own_keys_win_over_bases() -> None:
    files = {"one": "[workload]\nseq_len = 1024\n", "two": "[workload]\nseq_len = 2048\n"}
    first = load(base=SMALL, **files, top='extends = ["base.toml", "one.toml"]')
    last = load(top='extends = ["base.toml", "one.toml", "two.toml"]')
    own = load(top='extends = ["base.toml", "one.toml"]\nworkload.seq_len = 512\n')
    lengths = [scenario.workload.seq_len for scenario in (first, last, own)]
    assert lengths == [1024, 2048, 512]


def test_tables_are_merged_at_every_depth() -> None:
    upper = 'extends = ["base.toml"]\ncauses.own.law.sigma = 0.02\n'
    scenario = load(base=SMALL + OWN, top=upper)
    law = {"name": "lognormal", "sigma": 0.02, "median": 1.0, "cap": 1.05}
    assert scenario.causes["own"].law.model_dump() == law
    assert scenario.causes["own"].scope == "gpu"


def test_lists_are_replaced() -> None:
    base = 'not_modelled = ["rain", "snow"]\n' + SMALL
    scenario = load(base=base, top='extends = ["base.toml"]\nnot_modelled = ["hail"]\n')
    assert scenario.not_modelled == ["hail"]


def test_another_law_replaces_a_law_and_the_same_one_named_again_is_merged() -> None:
    upper = 'extends = ["base.toml"]\ncauses.own.law = '
    other = load(base=SMALL + OWN, top=upper + '{ name = "gamma", shape = 9.0 }')
    law = {"name": "gamma", "shape": 9.0, "scale": 1.0, "cap": None}
    assert other.causes["own"].law.model_dump() == law
    same = load(top=upper + '{ name = "lognormal", sigma = 0.02 }')
    assert same.causes["own"].law.cap == 1.05


def test_another_law_takes_the_basis_and_the_unknowns_of_the_old_parameters_with_it() -> None:
    change = {"causes.gpu-speed.law": {"name": "constant", "value": 1.0}}
    scenario = hm.load("h100-1k", change)
    gone = "causes.gpu-speed.law.sigma"
    assert gone not in scenario.basis
    assert gone not in scenario.unknowns


def test_another_fabric_replaces_a_fabric_as_a_whole() -> None:
    base = SMALL + "[fabric.noise.law]\nsigma = 0.5\n"
    kept = load(base=base, top='extends = ["base.toml"]\nfabric.latency_s = 1e-6\n')
    assert kept.noise is not None
    assert kept.noise.law.model_dump()["sigma"] == 0.5
    other = load(top='extends = ["base.toml"]\nfabric.name = "roce-400g"\n')
    assert other.fabric.noise is None


BATCH = ("n_microbatches = 1", "global_batch_seqs = 16")


@pytest.mark.parametrize(("below", "above"), [BATCH, BATCH[::-1]])
def test_one_way_to_give_the_batch_replaces_the_other(below: str, above: str) -> None:
    base = SMALL.replace("n_microbatches = 1", below)
    scenario = load(base=base, top=f'extends = ["base.toml"]\nworkload.{above}\n')
    given_keys = {"n_microbatches", "global_batch_seqs"} & set(to_table(scenario)["workload"])
    assert given_keys == {above.partition(" ")[0]}


def test_a_cause_that_is_not_enabled_leaves_the_numbers_that_a_missing_one_leaves() -> None:
    without = load(base=SMALL)
    removed = load(top=f'extends = ["base.toml"]\n{OWN}enabled = false\n')
    assert "own" not in removed.enabled_causes
    times = [
        hm.simulate(scenario, steps=8, runs=2, seed=1).steps["step_time_s"].to_list()
        for scenario in (without, removed, hm.with_changes(removed, {"causes.own.enabled": True}))
    ]
    assert times[0] == times[1]
    assert times[0] != times[2]


def chain(length: int) -> dict[str, str]:
    """Return files of which each extends the one before, `length` times."""
    links = {f"f{i}": f'extends = ["f{i - 1}.toml"]' for i in range(1, length + 1)}
    return {"f0": SMALL, **links}


def test_bases_may_lie_eight_levels_deep() -> None:
    assert load(**chain(8)).name == "f8"


def test_bases_nine_levels_deep_are_refused() -> None:
    message = "f1.toml: extends must not go deeper than 8 levels"
    assert refused(**chain(9)) == message


def test_bases_may_be_64_files_with_the_one_that_names_them() -> None:
    files = {"base": SMALL, "most": f"extends = {['base.toml'] * 63}"}
    assert load(**files).name == "most"
    message = "more.toml: extends must not lead to more than 64 files"
    assert refused(**files, more=f"extends = {['base.toml'] * 64}") == message


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_circle_of_bases_is_refused(length: int) -> None:
    files = {f"f{i}": f'extends = ["f{(i + 1) % length}.toml"]' for i in range(length)}
    end = f"f{(length - 2) % length}.toml"
    message = f'{end}: extends must not come back to "f{length - 1}.toml"'
    assert refused(**files) == message


def test_a_circle_is_seen_through_other_spellings_of_a_path() -> None:
    Path("sub").mkdir()
    assert "must not come back" in refused(top='extends = ["sub/../top.toml"]')


def test_in_a_diamond_the_later_side_wins_with_all_that_it_extends() -> None:
    side = 'extends = ["base.toml"]\n'
    files = {
        "base": SMALL,
        "left": f"{side}workload.seq_len = 512\nlayout.shard_group_replicas = 4\n",
        "right": f"{side}workload.seq_len = 1024\n",
    }
    scenario = load(**files, top='extends = ["left.toml", "right.toml"]')
    assert scenario.workload.seq_len == 1024
    assert scenario.layout.shard_group_replicas == 8


def test_paths_of_bases_are_relative_to_the_file_that_names_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("sub").mkdir()
    Path("base.toml").write_text(SMALL)
    Path("sub", "middle.toml").write_text('extends = ["../base.toml"]')
    scenario = load(top='extends = ["sub/middle.toml"]')
    monkeypatch.chdir("sub")
    assert hm.load("../top.toml") == hm.load(Path("../top.toml")) == scenario


def test_a_missing_base_is_named() -> None:
    message = "none.toml: cannot be read: no such file or directory (named by top.toml)"
    assert refused(top='extends = ["none.toml"]') == message


def test_an_unknown_base_is_named_with_the_file_that_extends_it() -> None:
    said = refused(top='extends = ["h100-2k"]')
    assert said.startswith("top.toml: ")
    assert said.endswith('got "h100-2k"; did you mean "h100-1k"?')


BASIS = '[basis.layout]\nkind = "assumed"\nwhere = "a"\n[basis."workload.seq_len"]\n'
BASIS += 'kind = "quoted"\nwhere = "b"\n'


def test_a_value_set_anew_loses_its_basis_and_others_keep_theirs() -> None:
    upper = 'extends = ["base.toml"]\nworkload.seq_len = 512\n'
    basis = load(base=SMALL + BASIS, top=upper).basis
    assert set(basis) == {"layout", "collective.overlap_fraction"}


def test_a_value_set_anew_with_a_basis_has_the_new_one() -> None:
    upper = 'extends = ["base.toml"]\nworkload.seq_len = 512\n'
    upper += 'basis."workload.seq_len" = { kind = "computed", where = "c" }\n'
    basis = load(base=SMALL + BASIS, top=upper).basis
    assert basis["workload.seq_len"].where == "c"


def test_a_change_drops_the_basis_of_what_it_sets() -> None:
    path = "causes.stall.per_hour"
    assert path in hm.load("colossus-1").basis
    assert path not in hm.load("colossus-1", {path: 1e-5}).basis


def test_the_basis_of_a_whole_table_still_stands_for_what_is_not_set_anew() -> None:
    scenario = hm.load("h100-1k", {"collective.n_buckets": 40})
    assert any(path.startswith("collective") for path in scenario.basis)


def test_a_file_without_a_name_is_called_after_itself() -> None:
    assert load(some_cluster=SMALL).name == "some_cluster"


def test_what_is_not_given_has_a_default() -> None:
    scenario = load(top=SMALL)
    assert scenario.pools["h100"].software_efficiency == 1
    assert scenario.workload.attention == "causal"
    assert scenario.workload.overhead_s == 0
    assert (scenario.layout.pipeline, scenario.layout.placement) == (1, "aligned")
    assert (scenario.collective.n_buckets, scenario.causes, scenario.unknowns) == (None, {}, {})


def test_a_default_overlap_is_called_assumed_and_a_given_one_is_not() -> None:
    path = "collective.overlap_fraction"
    default = load(base=SMALL)
    assert default.collective.overlap_fraction == 0.9
    assert default.basis[path].kind == "assumed"
    given_one = load(top=f'extends = ["base.toml"]\n{path} = 0.9\n')
    assert path not in given_one.basis


def test_a_scenario_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValueError, match="frozen"):
        hm.load("h100-1k").name = "other"  # type: ignore[misc]


def test_changes_leave_a_scenario_and_a_table_as_they_were() -> None:
    scenario = hm.load("colossus-1")
    table = to_table(scenario)
    before = copy.deepcopy(table)
    changed = hm.with_changes(from_table(table), {"pools.h100.n_gpus": 1024})
    assert changed.pools["h100"].n_gpus == 1024
    assert table == before == to_table(scenario)


def test_a_law_brought_along_from_scipy_comes_back_from_a_table() -> None:
    scenario = hm.load("h100-1k", {"causes.residual.law": gamma(400, scale=1 / 400)})
    assert from_table(json.loads(json.dumps(to_table(scenario)))) == scenario


def test_numbers_of_numpy_are_numbers() -> None:
    changes = {"pools.h100.n_gpus": np.int64(2048), "workload.overhead_s": np.float64(0.5)}
    scenario = hm.load("h100-1k", changes)
    assert (scenario.pools["h100"].n_gpus, scenario.workload.overhead_s) == (2048, 0.5)


CHANGES: Mapping[str, Any] = {
    "name": "other",
    "pools.h200.n_gpus": 800,
    "pools.more": {"gpu": "h100-sxm", "n_gpus": 80, "rack_gpus": 16},
    "fabric.name": "infiniband-ndr",
    "fabric.latency_s": 1e-6,
    "fabric.noise.law.sigma": 0.01,
    "workload.n_microbatches": 4,
    "layout.shard_group_replicas": 32,
    "collective.overlap_fraction": 0.5,
    "causes.pause.enabled": False,
    "causes.residual.law": {"name": "lognormal", "sigma": 0.1},
    "unknowns.workload.seq_len": {"name": "uniform", "low": 1.0, "high": 2.0},
    "basis.layout": {"kind": "quoted", "where": "here"},
}

some_changes = st.lists(st.sampled_from(sorted(CHANGES)), unique=True).map(
    lambda paths: {path: CHANGES[path] for path in paths}
)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(changes=some_changes)
def test_changes_at_loading_are_changes_after_it(changes: dict[str, Any]) -> None:
    early = hm.load("colossus-1", changes)
    late = hm.with_changes(hm.load("colossus-1"), changes)
    assert early == late
    assert list(early.pools) == list(late.pools)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(preset=st.sampled_from(["colossus-1", "h100-1k"]), changes=some_changes)
def test_a_scenario_comes_back_from_its_table(preset: str, changes: dict[str, Any]) -> None:
    added = {"pools.h200.gpu": "h200-sxm"} if "pools.h200.n_gpus" in changes else {}
    scenario = hm.load(preset, {**added, **changes})
    again = from_table(json.loads(json.dumps(to_table(scenario))))
    assert again == scenario
    assert list(again.pools) == list(scenario.pools)


keys = st.sampled_from(["name", "pools", "h100", "law", "sigma", "components", "basis"]) | st.text()
scalars = st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes() | st.dates()
tables = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
settled = settings(max_examples=100, deadline=None, derandomize=True, database=None)


def is_judged(load: Callable[[], hm.Scenario]) -> bool:
    """Return whether a scenario loads and plans, or has problems that say something."""
    try:
        hm.compile(load())
    except hm.ScenarioError as error:
        return bool(error.problems) and all(problem.requirement for problem in error.problems)
    return True


@settled
@given(data=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_bytes_that_are_no_scenario_are_refused(data: bytes) -> None:
    path = Path("any.toml")
    path.write_bytes(data)
    with pytest.raises(hm.ScenarioError):
        hm.load(path)


@settled
@given(table=st.dictionaries(keys, tables, max_size=4))
def test_any_table_is_a_scenario_or_refused(table: dict[str, Any]) -> None:
    assert is_judged(lambda: from_table(table))


@settled
@given(data=st.data())
def test_any_change_of_a_preset_is_a_scenario_or_refused(data: st.DataObject) -> None:
    table = to_table(hm.load("colossus-1"))
    for _ in range(data.draw(st.integers(1, 3))):
        below: Any = table
        key = data.draw(st.sampled_from(sorted(below)))
        while isinstance(below[key], dict) and below[key] and data.draw(st.integers(0, 3)):
            below = below[key]
            key = data.draw(st.sampled_from(sorted(below)))
        what = data.draw(st.sampled_from(["replace", "remove", "add"]))
        if what == "remove" and len(below) > 1:
            del below[key]
        else:
            below[key if what == "replace" else data.draw(keys)] = data.draw(tables)
    assert is_judged(lambda: from_table(table))


@settled
@given(text=st.text() | st.tuples(st.sampled_from(sorted(CHANGES)), st.text()).map("=".join))
def test_any_setting_is_a_change_or_refused(text: str) -> None:
    assert is_judged(lambda: hm.load("h100-1k", dict([parse_change(text)])))


BAD: Mapping[str, Any] = {
    "pools.h100.n_gpus": 0,
    "fabric.latency_s": -1.0,
    "workload.seq_len": "long",
    "layout.tensor": 0,
    "collective.overlap_fraction": 2.0,
    "causes.stall.probability": 1.5,
    "causes.pause.law.sigma": -1.0,
    "not_there": 1,
}


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(paths=st.sets(st.sampled_from(sorted(BAD)), min_size=1))
def test_all_wrong_fields_are_named_at_once(paths: set[str]) -> None:
    with pytest.raises(hm.ScenarioError) as caught:
        hm.load("colossus-1", {path: BAD[path] for path in paths})
    assert {problem.path for problem in caught.value.problems} == paths


def test_a_value_that_is_set_is_no_longer_an_unknown_even_the_last_one() -> None:
    path = "pools.h100.software_efficiency"
    law = {"name": "uniform", "low": 0.5, "high": 0.9}
    base = hm.load("h100-1k", {f"unknowns.{path}": law})
    only = from_table({**to_table(base), "unknowns": {path: law}})
    assert hm.with_changes(only, {path: 0.8}).unknowns == {}


def test_numbers_that_are_set_together_are_as_set_one_by_one() -> None:
    base = hm.load("colossus-1")
    changes = {
        "causes.residual.law.sigma": 0.002,
        "causes.stall.per_hour": 0.01,
        "causes.gpu-speed.law.cap": 1.1,
        "pools.h100.n_gpus": 149_504,
        "causes.pause.per_hour": 1.5,
        "workload.overhead_s": 0.1,
        "pools.gb200.software_efficiency": 0.9,
    }
    one_by_one = base
    for path, value in changes.items():
        one_by_one = hm.with_changes(one_by_one, {path: value})
    together = hm.with_changes(base, changes)
    assert together == one_by_one
    assert together.unknowns.keys() == base.unknowns.keys() - changes.keys()
