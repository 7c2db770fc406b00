"""A file of a result holds all of it, and what is no such file is refused."""

from __future__ import annotations

import copy
import json
import pickle
import pickletools
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import cloudpickle
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.presets import WHOLE

import hindmost as hm
from hindmost.cli import cli
from hindmost.engines import METHODS
from hindmost.report import FORMATS, render
from hindmost.store import FORMAT, NOT_OURS, digests, read_inputs

Table = dict[str, Any]

"""Presets that are no scenarios by themselves."""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@cache
def approximate() -> hm.Result:
    """Return rows that are not exact, with how far they are off."""
    changes = {"pools.h100.n_gpus": 256, "layout.pipeline": 2, "workload.n_microbatches": 4}
    call: Table = {"seed": 1, "runs": 2, "steps": 3, "method": "order-statistics"}
    return hm.simulate("h100-1k", **call, changes={**changes, **WITHIN_STEP})


WITHIN_STEP = {
    "causes.jitter": {
        "law": {"name": "lognormal", "sigma": 0.01, "cap": 1.2},
        "affects": "compute",
        "effect": "slowdown",
        "scope": "gpu",
        "span": "microbatch",
    }
}


@cache
def one_run() -> hm.Result:
    return hm.simulate("h100-1k", seed=2**64 - 1, runs=1, steps=5)


@cache
def preset(name: str) -> hm.Result:
    return hm.simulate(name, seed=1, runs=2, steps=3)


@cache
def with_terms() -> hm.Result:
    return hm.simulate("colossus-1", seed=1, runs=2, steps=3, terms=True)


@cache
def with_episodes() -> hm.Result:
    """Return steps of which some wait for a replica in an episode, and others do not."""
    slow: Table = {
        "span": "episode",
        "law": {"name": "constant", "value": 1.2},
        "affects": "compute",
        "effect": "slowdown",
        "scope": "node",
        "per_hour": 0.05,
        "duration": {"name": "constant", "value": 600},
    }
    return hm.simulate("h100-1k", changes={"causes.slow-nodes": slow}, seed=1, runs=2, steps=300)


@cache
def with_attribution() -> hm.Result:
    result = preset("h100-1k")
    found = hm.attribute(result.scenario, seed=1, runs=2, steps=3)
    return replace(result, attribution=found)


RESULTS: dict[str, Callable[[], hm.Result]] = {
    **{name: partial(preset, name) for name in WHOLE},
    "approximate": approximate,
    "one run": one_run,
    "with terms": with_terms,
    "with episodes": with_episodes,
    "with an attribution": with_attribution,
}


def through(protocol: int, result: hm.Result) -> hm.Result:
    again: hm.Result = pickle.loads(pickle.dumps(result, protocol))
    return again


def written(result: hm.Result) -> hm.Result:
    result.write("result.parquet")
    return hm.read("result.parquet")


WAYS: dict[str, Callable[[hm.Result], hm.Result]] = {
    **{
        f"protocol {protocol}": partial(through, protocol)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    "cloudpickle": lambda result: cloudpickle.loads(cloudpickle.dumps(result)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "written": written,
    "written again": lambda result: written(written(result)),
    "copy of one that was read": lambda result: copy.deepcopy(written(result)),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_equal_to_its_copies_in_all_parts(name: str) -> None:
    result = RESULTS[name]()
    for way, copied in WAYS.items():
        again = copied(result)
        assert again == result, way
        assert again.machine == result.machine, way
        assert again.attribution == result.attribution, way
        for column, array in arrays(result):
            theirs = dict(arrays(again))[column]
            assert (theirs.dtype, theirs.shape) == (array.dtype, array.shape), (way, column)
            assert theirs.tobytes() == array.tobytes(), (way, column)
            assert not theirs.flags.writeable, (way, column)
    # Tables follow from these parts.
    assert again.document() == result.document()
    for one in ("steps", "pools", "runs", "summary"):
        assert getattr(again, one).equals(getattr(result, one)), one


def arrays(result: hm.Result) -> Iterator[tuple[str, Any]]:
    return iter(result.columns.items())


@pytest.mark.parametrize("name", ["h100-1k", "colossus-1-pp16", "approximate", "with terms"])
def test_a_result_that_was_read_does_all_that_a_fresh_one_does(name: str) -> None:
    result = RESULTS[name]()
    again = written(result)
    assert again.value("mfu", "p95") == result.value("mfu", "p95")
    assert (again.warnings, again.assumed) == (result.warnings, result.assumed)
    assert (again.why, again.deviation) == (result.why, result.deviation)
    for style in FORMATS:
        assert render(again, style) == render(result, style)
    if name == "h100-1k":
        assert hm.caps(again).equals(hm.caps(result))


def test_a_file_is_written_again_byte_for_byte() -> None:
    first, second = Path("first.parquet"), Path("second.parquet")
    preset("h100-1k").write(first)
    hm.read(first).write(second)
    assert first.read_bytes() == second.read_bytes()


def test_any_reader_of_parquet_finds_the_steps_and_the_document() -> None:
    result = preset("colossus-1")
    result.write("result.parquet", caps=hm.caps(result))
    assert pl.read_parquet("result.parquet").equals(result.steps)
    document = json.loads(pl.read_parquet_metadata("result.parquet")["hindmost"])
    assert document == json.loads(json.dumps(result.document(caps=hm.caps(result).to_dicts())))
    assert document["caps"]
    assert hm.read("result.parquet") == result


def test_a_result_is_plain_data() -> None:
    result = preset("colossus-1-pp16")
    hm.caps(preset("h100-1k"))
    names = {
        str(argument)
        for operation, argument, _ in pickletools.genops(pickle.dumps(result, 2))
        if operation.name == "GLOBAL"
    }
    packages = {name.split()[0].partition(".")[0] for name in names}
    assert packages <= {"hindmost", "numpy", "copyreg", "_codecs", "__builtin__"}
    assert not any("hindmost._core" in name for name in names)
    assert len(pickle.dumps(result)) < 25_000 + sum(array.nbytes for _, array in arrays(result))


CHANGED: dict[str, Callable[[hm.Result], Table]] = {
    "seed": lambda result: {"inputs": {**result.inputs, "seed": 7}},
    "why": lambda result: {"why": "because"},
    "deviation": lambda result: {"deviation": approximate().deviation},
    "plan": lambda result: {"plan": preset("colossus-2").plan},
    "scenario": lambda result: {"scenario": preset("colossus-2").scenario},
    "a number": lambda result: {"columns": with_last(result, 1e-9)},
    "fewer rows": lambda result: {"columns": shortened(result)},
    "other columns": lambda result: {"columns": {"step_time_s": result.columns["step_time_s"]}},
}


def with_last(result: hm.Result, more: float) -> Table:
    busy_s = result.columns["busy_s"].copy()
    busy_s[-1] += more
    return {**result.columns, "busy_s": busy_s}


def shortened(result: hm.Result) -> Table:
    return {name: array[:-1] for name, array in arrays(result)}


@pytest.mark.parametrize("part", CHANGED)
def test_a_result_with_another_part_is_another_one(part: str) -> None:
    result = preset("h100-1k")
    state = result.__getstate__()
    other = hm.Result(**{**state, **CHANGED[part](result)})
    assert other != result
    assert result != other


def test_machines_do_not_make_results_unequal() -> None:
    result = preset("h100-1k")
    machine = {"threads": 99, "instruction_set": "portable", "wall_time_s": 1e3}
    assert hm.Result(**{**result.__getstate__(), "machine": machine}) == result


def said(act: Callable[[], object]) -> str:
    with pytest.raises(hm.ScenarioError) as caught:
        act()
    return str(caught.value)


Change = Callable[[Table], object]


def edited(
    *,
    document: Change | None = None,
    rest: Change | None = None,
    steps: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
    of: str = "h100-1k",
    result: hm.Result | None = None,
) -> str:
    """Return what is said of a file of a result with changed parts, of a preset unless given."""
    (result or preset(of)).write("result.parquet")
    metadata = pl.read_parquet_metadata("result.parquet")
    rows = pl.read_parquet("result.parquet")
    stored = {key: json.loads(metadata[key]) for key in ("hindmost", "hindmost.rest")}
    for key, change in (("hindmost", document), ("hindmost.rest", rest)):
        if change is not None:
            change(stored[key])
    rows = rows if steps is None else steps(rows)
    texts = {key: json.dumps(table) for key, table in stored.items()}
    rows.write_parquet("x.parquet", metadata={**texts, "hindmost.digest": digests(rows, texts)})
    # The inputs are read whatever becomes of the rest.
    assert read_inputs(Path("x.parquet"))["runs"] > 0
    return said(lambda: hm.read("x.parquet"))


def old_file(path: str) -> hm.Result:
    """Write a file as versions before the format of whole results did."""
    result = preset("h100-1k")
    document = result.document()
    inputs = {key: value for key, value in document["inputs"].items() if key != "asked"}
    metadata = {"hindmost": json.dumps({**document, "inputs": inputs})}
    result.steps.write_parquet(path, metadata=metadata)
    return result


REPEAT = "`hindmost run x.parquet` repeats it"


def test_a_file_of_an_older_version_says_how_to_repeat_it() -> None:
    old_file("x.parquet")
    version = hm.__version__
    requirement = f"holds the inputs of a result of version {version}, and no whole result"
    assert said(lambda: hm.read("x.parquet")) == f"x.parquet: {requirement}; {REPEAT}"


@pytest.mark.parametrize("write", ["old", "new"])
def test_old_and_new_files_are_repeated(write: str, capsys: pytest.CaptureFixture[str]) -> None:
    if write == "old":
        result = old_file("x.parquet")
    else:
        result = preset("h100-1k")
        result.write("x.parquet")
    cli.main(["run", "x.parquet", "-o", "y.parquet"], standalone_mode=False)
    assert f"seed {result.inputs['seed']}" in capsys.readouterr().out.lower()
    again = hm.read("y.parquet")
    if write == "new":
        assert again == result
        return
    # Only the method that was chosen is known, so it is asked for by name.
    assert again.why == "as asked"
    inputs = {**again.inputs, "asked": result.inputs["asked"]}
    assert hm.Result(**{**again.__getstate__(), "why": result.why, "inputs": inputs}) == result


STAGES = [
    word
    for change in ("layout.pipeline=8", "layout.sharding=zero1", "workload.n_microbatches=8")
    for word in ("--set", change)
]


@pytest.mark.parametrize("sizes", [(), ("--runs", "2", "--steps", "30")])
@pytest.mark.parametrize("words", [(), STAGES, ("--method", "sample")])
def test_a_file_with_changes_is_answered_as_without_it(
    sizes: tuple[str, ...], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    def inputs(*call: str) -> Any:
        cli.main(["run", *call, "--format", "json"], standalone_mode=False)
        document = json.loads(capsys.readouterr().out)
        return document["why"], document["inputs"]

    first = ("h100-1k", "--seed", "1", *sizes)
    inputs(*first, "-o", "x.parquet")
    assert inputs("x.parquet", *words) == inputs(*first, *words)


def test_what_was_asked_is_part_of_a_result() -> None:
    results = [hm.simulate("h100-1k", seed=1, runs=2, steps=3, method=name) for name in METHODS[:2]]
    assert results[0].inputs["asked"] == {"method": "auto", "runs": 2, "steps": 3, "terms": False}
    default = hm.simulate("h100-1k", seed=1, method="sample", steps=2).inputs
    assert default["asked"] == {"method": "sample", "runs": None, "steps": 2, "terms": False}
    assert results[0] != results[1]
    for result in results:
        assert written(result).inputs == result.inputs


def test_a_default_that_has_changed_since_leaves_a_plain_repetition(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hm.simulate("h100-1k", seed=1, steps=4).write("x.parquet")
    monkeypatch.setattr("hindmost.compiled.DEFAULT_SIZES", {"order-statistics": (3, 5)})
    cli.main(["run", "x.parquet", "--format", "json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["inputs"]["runs"] == 16


@pytest.mark.parametrize("asked", [3, {}, {"method": "auto", "runs": "2", "steps": None}])
def test_a_file_of_another_call_is_no_result(asked: Any) -> None:
    document = preset("h100-1k").document()
    document["inputs"] = {**document["inputs"], "asked": asked}
    metadata = {"hindmost": json.dumps(document)}
    preset("h100-1k").steps.write_parquet("x.parquet", metadata=metadata)
    assert said(lambda: read_inputs(Path("x.parquet"))) == f"x.parquet: {NOT_OURS}"


def test_a_file_of_a_newer_format_is_refused() -> None:
    requirement = f"has format {FORMAT + 1}, and this version reads {FORMAT}"
    message = edited(rest=lambda rest: rest.update(format=FORMAT + 1, plan="otherwise"))
    assert message == f"x.parquet: {requirement}; {REPEAT}"


def test_a_file_of_the_format_before_reads_as_an_equal_result() -> None:
    result = preset("h100-1k")
    result.write("result.parquet")
    metadata = pl.read_parquet_metadata("result.parquet")
    stored = {key: json.loads(metadata[key]) for key in ("hindmost", "hindmost.rest")}
    stored["hindmost.rest"].pop("hours")
    stored["hindmost.rest"]["format"] = 1
    texts = {key: json.dumps(table) for key, table in stored.items()}
    rows = pl.read_parquet("result.parquet")
    rows.write_parquet("x.parquet", metadata={**texts, "hindmost.digest": digests(rows, texts)})
    assert hm.read("x.parquet") == result


NOT_FITTING: dict[str, tuple[dict[str, Any], str]] = {
    "no plan": ({"rest": lambda rest: rest.pop("plan")}, "a plan that does not fit"),
    "more keys": ({"rest": lambda rest: rest.update(more=1)}, "a more that does not fit"),
    "a text for a number": (
        {"rest": lambda rest: rest["plan"]["pools"][0].update(n_gpus="8")},
        "a plan.pools.0.n_gpus that does not fit",
    ),
    "a fraction for a count": (
        {"rest": lambda rest: rest["plan"].update(n_replicas=1.5)},
        "a plan.n_replicas that does not fit",
    ),
    "infinity": (
        {"rest": lambda rest: rest["plan"].update(model_flops=float("inf"))},
        "a rest that is no JSON of a result",
    ),
    "a list": ({"rest": lambda rest: rest.clear()}, "a rest that is no JSON of a result"),
    "a format in words": (
        {"rest": lambda rest: rest.update(format="1")},
        "a format that is no number",
    ),
    "a phase that there is not": (
        {"rest": lambda rest: rest["plan"]["pools"][0]["terms"][0].update(phase="x")},
        "a plan.pools.0.terms.0.phase that does not fit",
    ),
    "other pools": (
        {"rest": lambda rest: rest["plan"]["pools"][0].update(name="x")},
        "a plan of other pools than the scenario's",
    ),
    "no pools": (
        {"rest": lambda rest: rest["plan"].update(pools=[])},
        "a plan of other pools than the scenario's",
    ),
    "too few runs": (
        {"rest": lambda rest: rest["busy_s"].pop()},
        "no busy_s for each run and pool",
    ),
    "too many pools": (
        {"rest": lambda rest: rest["own_stall_s"][0].append(1.0)},
        "no own_stall_s for each run and pool",
    ),
    "whole runs without failures": (
        {"document": lambda document: document["inputs"].update(days=30.0)},
        "whole runs that its inputs do not make",
    ),
    "no whole runs": (
        {"rest": lambda rest: rest.update(hours=None), "of": "colossus-2"},
        "whole runs that its inputs do not make",
    ),
    "whole runs of a pool less": (
        {
            "rest": lambda rest: rest["hours"]["gpu_hours"][0].pop(),
            "of": "colossus-2",
        },
        "no hours for each run and pool",
    ),
    "no machine": ({"document": lambda document: document.pop("machine")}, "no reason or no"),
    "no reason": ({"document": lambda document: document.update(why=None)}, "no reason or no"),
    "another machine": (
        {"document": lambda document: document["machine"].pop("threads")},
        "a machine of other figures",
    ),
    "another method": (
        {"document": lambda document: document["inputs"].update(method="guess")},
        "inputs that no result has",
    ),
    "a negative seed": (
        {"document": lambda document: document["inputs"].update(seed=-1)},
        "inputs that no result has",
    ),
    "more runs": (
        {"document": lambda document: document["inputs"].update(runs=3)},
        "other columns or rows than its inputs make",
    ),
    "runs for steps": (
        {"document": lambda document: document["inputs"].update(runs=3, steps=2)},
        "no busy_s for each run and pool",
    ),
    "no rows": (
        {"steps": lambda steps: steps.head(0)},
        "other columns or rows than its inputs make",
    ),
    "a column less": (
        {"steps": lambda steps: steps.drop("stall_s")},
        "other columns or rows than its inputs make",
    ),
    "a column of texts": (
        {"steps": lambda steps: steps.cast({"slowest_pool": pl.String})},
        "other columns or rows than its inputs make",
    ),
    "a null": (
        {"steps": lambda steps: steps.with_columns(stall_s=pl.lit(None, pl.Float64))},
        "steps without numbers",
    ),
    "rows in another order": (
        {"steps": lambda steps: steps.reverse()},
        "other steps than its inputs and its plan make",
    ),
    "no ranks": (
        {"rest": lambda rest: rest["plan"]["pools"][0].update(n_ranks=0)},
        "a plan without work",
    ),
    "no peak": (
        {"rest": lambda rest: rest["plan"]["pools"][0].update(peak_flop_per_s=0.0)},
        "a plan without work",
    ),
    "no time": (
        {"steps": lambda steps: steps.with_columns(step_time_s=pl.lit(0.0))},
        "steps that take no time",
    ),
    "another MFU": (
        {"steps": lambda steps: steps.with_columns(pl.col("mfu") * 2)},
        "other steps than its inputs and its plan make",
    ),
    "terms that were not asked for": (
        {
            "document": lambda document: document["inputs"]["asked"].update(terms=False),
            "result": with_terms(),
        },
        "other columns or rows than its inputs make",
    ),
    "no terms": (
        {"document": lambda document: document["inputs"]["asked"].update(terms=True)},
        "other columns or rows than its inputs make",
    ),
    "terms of no time": (
        {
            "steps": lambda steps: steps.with_columns(pl.col("frontier_stall_s").list.head(0)),
            "result": with_terms(),
        },
        "steps without numbers",
    ),
    "a negative time": (
        {
            "steps": lambda steps: steps.with_columns(
                frontier_compute_s=pl.col("frontier_compute_s").list.eval(-pl.element())
            ),
            "result": with_terms(),
        },
        "steps without numbers",
    ),
    "a port too few": (
        {
            "steps": lambda steps: steps.with_columns(pl.col("port_slowdown").list.head(2)),
            "result": with_terms(),
        },
        "steps without numbers",
    ),
    "a factor too many": (
        {
            "steps": lambda steps: steps.with_columns(
                hop_factor=pl.concat_list("hop_factor", pl.lit(1.0))
            ),
            "result": with_terms(),
        },
        "steps without numbers",
    ),
    "another attribution": (
        {
            "rest": lambda rest: rest["attribution"]["totals"]["mfu"].update(value=0.5),
            "result": with_attribution(),
        },
        "an attribution other than its document's",
    ),
    "no attribution": (
        {"rest": lambda rest: rest.pop("attribution"), "result": with_attribution()},
        "an attribution other than its document's",
    ),
    "a null within": (
        {
            "steps": lambda steps: steps.with_columns(
                pl.col("frontier_pool").list.eval(pl.element().shift(1))
            ),
            "result": with_terms(),
        },
        "steps without numbers",
    ),
}


@pytest.mark.parametrize("name", NOT_FITTING)
def test_parts_that_do_not_fit_are_refused(name: str) -> None:
    changes, what = NOT_FITTING[name]
    message = edited(**changes)
    assert message.startswith(f"x.parquet: holds {what}")
    assert message.endswith(f"so only the inputs of a result can be read; {REPEAT}")


def test_numbers_that_were_changed_are_found() -> None:
    preset("h100-1k").write("result.parquet")
    rows = pl.read_parquet("result.parquet")
    metadata = pl.read_parquet_metadata("result.parquet")
    texts = {key: metadata[key] for key in metadata if key.startswith("hindmost")}
    changed = {
        "one compute time": (rows.with_columns(compute_s=pl.col("compute_s") * (1 + 1e-15)), texts),
        "the reason": (rows, {**texts, "hindmost": texts["hindmost"].replace("exact", "exalt")}),
        "no digest": (rows, {key: texts[key] for key in ("hindmost", "hindmost.rest")}),
    }
    rows.write_parquet("x.parquet", metadata=texts)
    assert hm.read("x.parquet") == preset("h100-1k")
    for name, (other, metadata) in changed.items():
        other.write_parquet("x.parquet", metadata=metadata)
        assert "other values than were written" in said(lambda: hm.read("x.parquet")), name


def texts_of_a_file() -> tuple[pl.DataFrame, dict[str, str]]:
    """Return the rows of a file of a result, and the texts in its metadata."""
    preset("h100-1k").write("result.parquet")
    metadata = pl.read_parquet_metadata("result.parquet")
    texts = {key: metadata[key] for key in metadata if key.startswith("hindmost")}
    return pl.read_parquet("result.parquet"), texts


def test_inputs_that_were_changed_are_not_repeated() -> None:
    rows, texts = texts_of_a_file()
    changed = {**texts, "hindmost": texts["hindmost"].replace('"seed": 1', '"seed": 7', 1)}
    assert changed != texts
    rows.write_parquet("x.parquet", metadata=changed)
    message = "x.parquet: is damaged: its document holds other values than were written"
    assert said(lambda: read_inputs(Path("x.parquet"))) == message
    assert read_inputs(Path("result.parquet"))["seed"] == 1


def test_other_truth_values_are_refused() -> None:
    with_episodes().write("result.parquet")
    rows, texts = pl.read_parquet("result.parquet"), pl.read_parquet_metadata("result.parquet")
    changed = rows.with_columns(~pl.col("slowest_in_episode"))
    changed.write_parquet("x.parquet", metadata=texts)
    assert "holds other values than were written" in said(lambda: hm.read("x.parquet"))


def test_a_number_beyond_all_numbers_is_refused() -> None:
    rows, texts = texts_of_a_file()
    texts["hindmost"] = re.sub(r'"wall_time_s": [0-9.]+', '"wall_time_s": 1e999', texts["hindmost"])
    rows.write_parquet("x.parquet", metadata={**texts, "hindmost.digest": digests(rows, texts)})
    assert said(lambda: hm.read("x.parquet")) == f"x.parquet: {NOT_OURS}"


def test_a_file_that_is_replaced_while_it_is_read_is_one_of_both() -> None:
    both = [preset("h100-1k"), one_run()]
    both[0].write("x.parquet")
    stop = Event()

    def replace() -> None:
        while not stop.is_set():
            for each in both:
                each.write("x.parquet")

    writer = Thread(target=replace)
    writer.start()
    try:
        assert all(hm.read("x.parquet") in both for _ in range(60))
    finally:
        stop.set()
        writer.join()


def test_a_scenario_that_is_none_is_refused_with_its_problems() -> None:
    message = edited(document=lambda one: one["inputs"]["scenario"]["layout"].update(tensor=0))
    assert message == "x.parquet: layout.tensor must be >= 1, got 0"


def test_what_is_no_file_of_a_result_is_refused() -> None:
    assert said(lambda: hm.read("x.parquet")) == (
        "x.parquet: cannot be read: no such file or directory"
    )
    Path("folder").mkdir()
    assert said(lambda: hm.read("folder")) == "folder: cannot be read: is a directory"
    Path("mine.toml").write_text('extends = ["h100-1k"]\n')
    assert said(lambda: hm.read("mine.toml")) == (
        "mine.toml: is no result that hindmost has written"
    )
    preset("h100-1k").write("x.json")
    assert said(lambda: hm.read("x.json")) == "x.json: is no result that hindmost has written"
    pl.DataFrame({"x": [1]}).write_parquet("x.parquet")
    assert said(lambda: hm.read("x.parquet")) == "x.parquet: is no result that hindmost has written"


@pytest.mark.parametrize(
    "name", ["a[1].parquet", "a*.parquet", "a?.parquet", "{a}.parquet", "~.parquet", "s3:a.parquet"]
)
def test_a_path_is_no_pattern(name: str) -> None:
    Path("a1.parquet").touch()
    preset("h100-1k").write(name)
    assert hm.read(name) == preset("h100-1k")
    assert read_inputs(Path(name))["seed"] == 1


@settings(max_examples=120, deadline=None, derandomize=True, database=None)
@given(
    make=st.sampled_from([one_run, with_terms]),
    place=st.floats(0, 1),
    data=st.binary(min_size=1, max_size=8),
)
def test_a_damaged_file_is_refused_or_equal(
    make: Callable[[], hm.Result], place: float, data: bytes
) -> None:
    """Bytes that no reader looks at may change; a part of the result may not."""
    result = make()
    path = Path("x.parquet")
    result.write(path)
    whole = path.read_bytes()
    at = int(place * (len(whole) - len(data)))
    path.write_bytes(whole[:at] + data + whole[at + len(data) :])
    try:
        again = hm.read(path)
    except hm.ScenarioError:
        return
    assert again == result
    assert again.machine == result.machine


@pytest.mark.parametrize("keep", [0, 4, 100, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(keep: float) -> None:
    path = Path("x.parquet")
    preset("h100-1k").write(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if keep < 1 else int(keep)])
    assert said(lambda: hm.read(path)) == "x.parquet: is no result that hindmost has written"


def test_numbers_of_numpy_in_a_call_are_plain_in_a_file() -> None:
    call: Table = {"steps": np.int64(2), "runs": np.int32(2), "seed": np.uint64(2**63)}
    result = hm.simulate("h100-1k", **call)
    assert written(result) == result
    assert hm.read("result.parquet").inputs["seed"] == 2**63
