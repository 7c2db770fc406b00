"""Files: unreadable scenarios, results written completely or not at all, the schema."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hindmost as hm
from hindmost.scenario import from_table
from hindmost.store import read_inputs

FORMATS = ("parquet", "csv", "json")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def result() -> hm.Result:
    """Return a small result."""
    return hm.simulate("h100-1k", steps=6, runs=2, seed=4)


def said(act: Callable[[], object]) -> str:
    """Return what is said of a file that must be refused."""
    with pytest.raises(hm.ScenarioError) as caught:
        act()
    return str(caught.value)


def unread(data: bytes, name: str = "mine.toml") -> str:
    """Return what is said of a scenario file of these bytes."""
    Path(name).write_bytes(data)
    return said(lambda: hm.load(name))


def everything_here() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path.cwd().iterdir()}


def test_a_missing_file_is_refused() -> None:
    assert said(lambda: hm.load("x.toml")) == "x.toml: cannot be read: no such file or directory"


def test_a_folder_is_refused() -> None:
    Path("x.toml").mkdir()
    assert said(lambda: hm.load("x.toml")) == "x.toml: cannot be read: is a directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_refused() -> None:
    Path("x.toml").touch(mode=0)
    assert said(lambda: hm.load("x.toml")) == "x.toml: cannot be read: permission denied"


def test_a_huge_file_is_refused_without_reading_it_all() -> None:
    with Path("x.toml").open("wb") as file:
        file.truncate(50_000_000)
    message = "x.toml: is too large: a scenario has at most 1,048,576 bytes"
    assert said(lambda: hm.load("x.toml")) == message


def test_a_file_that_is_no_text_is_refused() -> None:
    assert unread(b'name = "\xff"') == "mine.toml: is no text: byte 8 is not UTF-8"


def test_a_text_that_is_no_toml_is_refused_with_the_place() -> None:
    message = "mine.toml: is no TOML: Expected '=' after a key in a key/value pair"
    assert unread(b'name = "x"\npools\n') == f"{message} (at line 2, column 6)"


@pytest.mark.parametrize(
    "text",
    ["x = " + "[" * 40 + "]" * 40, "x = " + "[" * 9000, ".".join("x" * 40) + " = 1"],
    ids=["lists", "lists without end", "tables"],
)
def test_deep_nesting_is_refused(text: str) -> None:
    assert unread(text.encode()) == "mine.toml: is nested too deeply: at most 32 levels"


def test_the_mark_that_some_editors_put_first_does_no_harm() -> None:
    Path("mine.toml").write_bytes(b'\xef\xbb\xbfextends = ["h100-1k"]\n')
    assert hm.load("mine.toml").pools["h100"].n_gpus == 1024


@pytest.mark.parametrize("digits", ["1" * 5000, "0x" + "f" * 5000], ids=["decimal", "hex"])
def test_an_endless_integer_is_refused(digits: str) -> None:
    text = f'extends = ["h100-1k"]\nworkload.seq_len = {digits}\n'
    assert unread(text.encode()).startswith("mine.toml: ")


def test_a_path_that_no_file_can_have_is_refused() -> None:
    assert "extends must be a path" in unread(b'extends = ["a\\u0000.toml"]')


def test_a_link_to_itself_is_refused() -> None:
    Path("x.toml").symlink_to("x.toml")
    assert said(lambda: hm.load("x.toml")).startswith("x.toml: cannot be read: ")


def test_a_table_that_is_nested_without_end_is_refused() -> None:
    table: dict[str, object] = {}
    for _ in range(20_000):
        table = {"x": table}
    assert "nested too deeply" in said(lambda: from_table(table))
    path = ".".join("x" * 20_000)
    assert "nested too deeply" in said(lambda: hm.load("h100-1k", {path: 1}))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_holds_every_step(result: hm.Result, suffix: str) -> None:
    path = Path(f"out.{suffix}")
    result.write(path)
    if suffix == "parquet":
        assert pl.read_parquet(path).equals(result.steps)
    elif suffix == "csv":
        steps = pl.read_csv(path, schema_overrides=result.steps.schema)
        assert steps.equals(result.steps)
    else:
        steps_of = json.loads(path.read_text())["steps"]
        assert steps_of == result.steps.to_dict(as_series=False)


def test_parquet_and_json_hold_all_the_rest(result: hm.Result) -> None:
    everything = json.loads(json.dumps(result.document()))
    result.write(Path("out.parquet"))
    assert json.loads(pl.read_parquet_metadata("out.parquet")["hindmost"]) == everything
    result.write(Path("out.json"))
    stored = json.loads(Path("out.json").read_text())
    del stored["steps"]
    assert stored == everything
    assert stored["inputs"] == result.inputs
    assert stored["summary"] == result.summary.to_dicts()
    assert stored["pools"] == result.pools.to_dicts()


def test_the_inputs_of_a_file_make_the_result_again(result: hm.Result) -> None:
    result.write(Path("out.parquet"))
    inputs = read_inputs(Path("out.parquet"))
    again = hm.simulate(
        from_table(inputs["scenario"]),
        **{key: inputs[key] for key in ("seed", "runs", "steps", "method")},
    )
    assert again.steps.equals(result.steps)


def test_integers_of_numpy_can_be_stored() -> None:
    call: dict[str, Any] = {"steps": np.int64(2), "runs": np.int32(2), "seed": np.uint64(1)}
    result = hm.simulate("h100-1k", **call)
    result.write(Path("out.parquet"))
    assert read_inputs(Path("out.parquet"))["seed"] == 1


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_write_that_fails_leaves_what_was_there(
    result: hm.Result, monkeypatch: pytest.MonkeyPatch, suffix: str, failing: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = Path(f"out.{suffix}")
    path.write_bytes(b"old")
    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[failing], fail)
    with pytest.raises(hm.OutputError) as caught:
        result.write(path)
    assert str(caught.value) == f"{path} could not be written: no space left on device"
    assert everything_here() == {path.name: b"old"}


def test_an_interrupted_write_leaves_nothing(
    result: hm.Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        result.write(Path("out.csv"))
    assert everything_here() == {}


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_that_was_there_is_replaced_as_a_whole(result: hm.Result, suffix: str) -> None:
    path = Path(f"out.{suffix}")
    result.write(path)
    once = path.read_bytes()
    path.write_bytes(b"old" * 100_000)
    result.write(path)
    assert everything_here() == {path.name: once}


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_stays_and_its_target_is_replaced(
    result: hm.Result, suffix: str, is_there: bool
) -> None:
    Path("data").mkdir()
    target, link = Path(f"data/there.{suffix}"), Path(f"out.{suffix}")
    if is_there:
        target.write_bytes(b"old")
    link.symlink_to(Path("..") / Path.cwd().name / target)
    result.write(link)
    assert link.is_symlink()
    result.write(Path(f"plain.{suffix}"))
    assert target.read_bytes() == Path(f"plain.{suffix}").read_bytes()
    assert [path.name for path in Path("data").iterdir()] == [target.name]


def test_a_link_that_leads_nowhere_is_refused(result: hm.Result) -> None:
    Path("loop.csv").symlink_to("loop.csv")
    assert said(lambda: result.write("loop.csv")).startswith("path must ")
    Path("lost.csv").symlink_to("none/lost.csv")
    assert said(lambda: result.write("lost.csv")).startswith("path must lie in a folder")
    Path("folder").mkdir()
    Path("into.csv").symlink_to("folder")
    assert said(lambda: result.write("into.csv")).startswith("path must not be a folder")


def test_a_name_that_leaves_no_room_beside_it_is_written_or_refused(result: hm.Result) -> None:
    path = Path("x" * 251 + ".csv")
    try:
        result.write(path)
    except (hm.OutputError, hm.ScenarioError):
        assert everything_here() == {}
    else:
        assert list(everything_here()) == [path.name]


PATHS = {
    "out.txt": "must end in .parquet, .csv, .json",
    "out": "must end in .parquet, .csv, .json",
    "none/out.csv": "must lie in a folder that exists",
    "folder.csv": "must not be a folder",
    "x" * 300 + ".csv": "must",
}


@pytest.mark.parametrize(("path", "requirement"), PATHS.items(), ids=[path[:12] for path in PATHS])
def test_a_path_that_cannot_be_written_is_refused(
    result: hm.Result, path: str, requirement: str
) -> None:
    Path("folder.csv").mkdir()
    assert said(lambda: result.write(path)).startswith(f"path {requirement}")
    assert list(Path.cwd().rglob("*")) == [Path.cwd() / "folder.csv"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_without_permission_is_refused(result: hm.Result) -> None:
    Path("folder").mkdir(mode=0o500)
    message = 'path must be writable, got "folder/out.csv"'
    assert said(lambda: result.write(Path("folder/out.csv"))) == message


def test_a_missing_result_is_refused() -> None:
    message = "x.parquet: cannot be read: no such file or directory"
    assert said(lambda: read_inputs(Path("x.parquet"))) == message


@pytest.mark.parametrize(
    "metadata",
    ["nope", "{}", "[" * 100_000, '{"inputs": 3}', '{"inputs": {}}', '{"inputs": {"seed": 1}}'],
    ids=["no JSON", "no inputs", "endless", "a number", "nothing", "a seed alone"],
)
def test_a_parquet_file_of_something_else_is_refused(metadata: str) -> None:
    pl.DataFrame({"x": [1]}).write_parquet("x.parquet", metadata={"hindmost": metadata})
    message = "x.parquet: is no result that hindmost has written"
    assert said(lambda: read_inputs(Path("x.parquet"))) == message


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(data=st.binary(max_size=60), keep=st.integers(0, 400))
def test_a_damaged_parquet_file_is_refused(result: hm.Result, data: bytes, keep: int) -> None:
    path = Path("x.parquet")
    result.write(path)
    path.write_bytes(path.read_bytes()[:keep] + data)
    assert said(lambda: read_inputs(path)) == "x.parquet: is no result that hindmost has written"


def test_arrays_are_frozen(result: hm.Result) -> None:
    times = hm.rank_times("h100-1k", seed=4, run=0, steps=[0, 1])
    columns = [result.steps[name].to_numpy() for name in ("step_time_s", "stall_s", "mfu")]
    for array in (times, *columns):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


class PanicException(BaseException):
    """Stands for what a panic in Polars raises."""


def test_a_file_that_polars_panics_over_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def panic(_: object) -> None:
        raise PanicException

    Path("x.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr(pl, "read_parquet_metadata", panic)
    assert said(lambda: read_inputs(Path("x.parquet"))).endswith(
        "is no result that hindmost has written"
    )
