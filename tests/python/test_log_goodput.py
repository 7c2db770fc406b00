"""Records of ml-goodput-measurement: where a job begins anew."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.cut_logs import rows_missing_of_the_longest

import hindmost as hm

BEGIN = 1_700_000_000.0
Entry = Mapping[str, Any]


def entry_of(key: str, at: float, **more: Any) -> Entry:
    return {"job_name": "job", **more, key: BEGIN + at}


def process_of(
    steps: Sequence[int], at: float, *, start: float | None, step_s: float = 10.0
) -> list[Entry]:
    """Return the records of a process whose first step begins at `at`."""
    begin = [] if start is None else [entry_of("job_start_time", start)]
    return begin + [
        entry_of("step_start_time", at + n * step_s, step_count=step)
        for n, step in enumerate(steps)
    ]


def lines(entries: Sequence[Entry]) -> str:
    return "".join(json.dumps({"insertId": "a", "jsonPayload": e}) + "\n" for e in entries)


def pretty(entries: Sequence[Entry]) -> str:
    return json.dumps([{"jsonPayload": e} for e in entries], indent=2, sort_keys=True) + "\n"


def yaml(entries: Sequence[Entry]) -> str:
    return "".join(
        "---\njsonPayload:\n" + "".join(f"  {key}: {value}\n" for key, value in sorted(e.items()))
        for e in entries
    )


def python(entries: Sequence[Entry]) -> str:
    return "".join(f"INFO: {e}\n" for e in entries)


def newest_first(entries: Sequence[Entry]) -> str:
    return pretty(entries[::-1])


def read(path: Path, text: str) -> pl.DataFrame:
    (path / "log").write_text(text)
    return hm.read_log(path / "log")


def test_a_step_lasts_until_the_next_one(tmp_path: Path) -> None:
    entries = [*process_of(range(6), 10.0, start=0.0), entry_of("job_end_time", 75.0)]
    frame = read(tmp_path, lines(entries))
    assert frame["step"].to_list() == [0, 1, 2, 3, 4, 5]
    assert frame["seconds"].to_list() == [10.0, 10.0, 10.0, 10.0, 10.0, 15.0]
    assert frame["start"].to_list() == [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
    assert frame["kind"].to_list() == 3 * ["masked"] + 3 * ["step"]


@pytest.mark.parametrize("resumed_at", [100, 99, 60])
def test_a_restart_is_found_whether_or_not_a_number_comes_again(
    tmp_path: Path, resumed_at: int
) -> None:
    # 100 steps, 3,000 s away, 100 steps: a third of the time is training.
    first = process_of(range(100), 10.0, start=0.0)
    second = process_of(range(resumed_at, resumed_at + 100), 4010.0, start=4000.0)
    entries = [*first, *second, entry_of("job_end_time", 5010.0)]
    frame = read(tmp_path, lines(entries))
    restart = frame.filter(kind="restart")
    assert restart.select("step", "start", "seconds", "note").rows() == [
        (resumed_at, 1000.0, 3000.0, None)
    ]
    training_s = frame.filter(kind="step")["seconds"].sum()
    assert training_s / 5010 == pytest.approx(0.385, abs=2e-3)


def test_without_records_of_its_start_a_restart_is_told_by_the_time_without_a_step(
    tmp_path: Path,
) -> None:
    first = process_of(range(100), 10.0, start=0.0)
    frame = read(tmp_path, lines([*first, *process_of(range(100, 200), 4010.0, start=None)]))
    assert frame.filter(kind="restart").select("step", "seconds", "note").rows() == [
        (100, 3010.0, "told by the time without a step")
    ]
    assert frame.filter(kind="step")["seconds"].unique().to_list() == [10.0]


def test_or_by_the_number_of_the_step(tmp_path: Path) -> None:
    first = process_of(range(100), 10.0, start=0.0)
    frame = read(tmp_path, lines([*first, *process_of(range(50, 100), 1040.0, start=None)]))
    assert frame.filter(kind="restart").select("step", "note").rows() == [
        (50, "told by the number of the step")
    ]


@pytest.mark.parametrize("written", [pretty, yaml, python, newest_first])
def test_all_forms_of_an_export_read_the_same(
    tmp_path: Path, written: Callable[[Sequence[Entry]], str]
) -> None:
    entries = [
        *process_of(range(10), 10.0, start=0.0),
        *process_of(range(10, 20), 500.0, start=400.0),
        *process_of(range(15, 25), 800.0, start=700.0),
    ]
    assert read(tmp_path, written(entries)).equals(read(tmp_path, lines(entries)))


def test_an_event_masks_its_step_and_the_next(tmp_path: Path) -> None:
    entries = process_of(range(5), 10.0, start=0.0)
    event = {"custom_badput_event_type": "eval_step"}
    entries += [
        entry_of("custom_badput_event_start_time", 51.0, **event),
        entry_of("custom_badput_event_end_time", 81.0, **event),
        *process_of(range(5, 10), 90.0, start=None),
    ]
    frame = read(tmp_path, lines(entries))
    assert frame.filter(pl.col("step") > 2).select("step", "kind", "note").rows() == [
        (3, "step", None),
        (4, "masked", "an event that is recorded is in the time"),
        (5, "masked", "dispatch only, after an event"),
        (6, "step", None),
        (7, "step", None),
        (8, "step", None),
    ]


def test_a_checkpoint_has_a_row_of_its_own(tmp_path: Path) -> None:
    entries = process_of(range(8), 10.0, start=0.0)
    save = {"job_name": "job", "step": 5, "event_type": "save"}
    save["checkpoint_manager_blocking_start_time"] = BEGIN + 65.0
    frame = read(tmp_path, lines([*entries, save]))
    assert frame.filter(kind="checkpoint").select("step", "start").rows() == [(5, 65.0)]
    assert frame.filter(kind="step")["step"].to_list() == [3, 4]


def test_records_of_several_jobs_are_refused(tmp_path: Path) -> None:
    entries = process_of(range(8), 10.0, start=0.0)
    other = [{**entry, "job_name": "other"} for entry in entries]
    with pytest.raises(hm.ScenarioError, match="must hold steps of goodput"):
        read(tmp_path, lines([*entries, *other]))


@pytest.mark.parametrize("value", ["nan", "null", "-1e400", '"x"', "1e300", "[]"])
@pytest.mark.parametrize("key", ["step_count", "step_start_time", "job_start_time"])
def test_no_value_of_a_field_does_harm(tmp_path: Path, key: str, value: str) -> None:
    text = lines(process_of(range(20), 10.0, start=0.0))
    old = {"step_count": "7", "step_start_time": "1700000080.0", "job_start_time": "1700000000.0"}
    frame = read(tmp_path, text.replace(f'"{key}": {old[key]}', f'"{key}": {value}'))
    assert frame.filter(kind="step")["seconds"].unique().to_list() == [10.0]


def test_a_log_that_is_cut_anywhere_gives_the_rows_before_the_cut(tmp_path: Path) -> None:
    first = process_of(range(6), 10.0, start=0.0)
    text = lines([*first, *process_of(range(4, 10), 300.0, start=200.0)])
    assert rows_missing_of_the_longest(tmp_path, text, range(0, len(text), 3)) == 1


def test_a_compressed_log_reads_as_a_plain_one(tmp_path: Path) -> None:
    text = lines(process_of(range(10), 10.0, start=0.0))
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(text.encode()))
    assert hm.read_log(path).equals(read(tmp_path, text))
