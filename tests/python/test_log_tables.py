"""Tables of step times, and what any log is refused for."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import hindmost as hm

STEPS = "step,step_time_s\n1,9.5\n2,5.1\n3,5.2\n"
COLUMNS = [
    "source",
    "rank",
    "step",
    "kind",
    "start",
    "seconds",
    "tokens",
    "note",
    "steps",
    "n_bytes",
]


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_table_is_read_by_the_names_of_its_columns(tmp_path: Path) -> None:
    frame = hm.read_log(written(tmp_path / "log", STEPS))
    assert frame.columns == COLUMNS
    assert frame["step"].to_list() == [1, 2, 3]
    assert frame["seconds"].to_list() == [9.5, 5.1, 5.2]
    assert frame["source"].unique().to_list() == ["table"]
    assert frame["kind"].unique().to_list() == ["step"]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("iteration\tIteration time (ms)", 5.1e-3),
        ("Step;Step Time [us]", 5.1e-6),
        ('"global_step","train_step_time_s"', 5.1),
        ("iter,seconds", 5.1),
    ],
)
def test_names_have_separators_and_units_of_their_own(
    tmp_path: Path, header: str, seconds: float
) -> None:
    separator = next(each for each in "\t;," if each in header)
    frame = hm.read_log(written(tmp_path / "log", f"{header}\n7{separator}5.1\n"))
    assert frame["step"].to_list() == [7]
    assert frame["seconds"].to_list() == pytest.approx([seconds])


def test_other_names_are_told_by_the_caller(tmp_path: Path) -> None:
    path = written(tmp_path / "log.csv", "n,dt_ms,who\n4,250,0\n4,300,1\n")
    frame = hm.read_log(path, columns={"step": "n", "seconds": "dt_ms", "rank": "who"})
    assert frame.select("rank", "step").rows() == [(0, 4), (1, 4)]
    assert frame["seconds"].to_list() == [0.25, 0.3]


def test_steps_without_a_number_are_counted_by_rank(tmp_path: Path) -> None:
    text = "rank,seconds\n0,1.0\n1,1.1\n0,1.2\n1,1.3\n"
    frame = hm.read_log(written(tmp_path / "log", text))
    assert frame.select("rank", "step").rows() == [(0, 0), (1, 0), (0, 1), (1, 1)]


@pytest.mark.parametrize("has_ranks", [False, True])
def test_a_long_table_is_read_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_ranks: bool
) -> None:
    monkeypatch.setattr("hindmost.logs.table.ROWS_AT_ONCE", 7)
    n = 100
    table = pl.DataFrame({"seconds": [1.0 + k for k in range(n)], "start": range(5, n + 5)})
    if has_ranks:
        table = table.with_columns(rank=pl.Series([k * k % 3 for k in range(n)]))
    table.write_csv(tmp_path / "log.csv")
    frame = hm.read_log(tmp_path / "log.csv")
    assert frame["seconds"].to_list() == table["seconds"].to_list()
    assert frame["start"].to_list() == list(range(n))
    for [_], rows in frame.group_by("rank"):
        assert rows["step"].to_list() == list(range(rows.height))


def test_what_is_no_time_is_masked_with_the_reason(tmp_path: Path) -> None:
    text = "step,seconds,masked\n0,1.0,1\n1,,0\n2,-1,0\n3,nan,0\n4,abc,0\n5,1.5,0\n"
    frame = hm.read_log(written(tmp_path / "log", text))
    assert frame["kind"].to_list() == ["masked"] * 5 + ["step"]
    assert frame["note"].to_list() == [
        "masked by the table",
        *["no positive number of seconds"] * 4,
        None,
    ]


def test_steps_of_a_result_are_a_log(tmp_path: Path) -> None:
    result = hm.simulate("h100-1k", seed=1, runs=1, steps=8)
    result.write(tmp_path / "result.parquet")
    frame = hm.read_log(tmp_path / "result.parquet")
    assert frame["seconds"].to_list() == result.steps["step_time_s"].to_list()


def test_a_compressed_table_reads_as_a_plain_one(tmp_path: Path) -> None:
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(STEPS.encode()))
    assert hm.read_log(path).equals(hm.read_log(written(tmp_path / "log", STEPS)))


def test_files_of_a_folder_are_one_log(tmp_path: Path) -> None:
    for rank in range(3):
        text = f"step,rank,seconds\n1,{rank},1.{rank}\n"
        written(tmp_path / f"{rank}.csv", text)
    written(tmp_path / "README", "made by hand\n")
    frame = hm.read_log(tmp_path)
    assert frame.filter(kind="step").select("rank", "seconds").rows() == [
        (0, 1.0),
        (1, 1.1),
        (2, 1.2),
    ]
    assert frame.filter(kind="unread")["note"].to_list() == ["README holds nothing of table"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "must not be empty"),
        (b"Dear all,\nthe run is fine.\n", "nothing in it is recognised"),
        (b"PAR1 cut off", "nothing in it is recognised"),
        (b"\x1f\x8b\x08 no gzip", "must not be empty"),
        (b"step,loss\n1,2\n", "nothing in it is recognised"),
        (b"step,seconds\n1,none\n", "must hold steps of table"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    with pytest.raises(hm.ScenarioError, match=said) as refused:
        hm.read_log(path)
    assert refused.value.problems[0].path == str(path)


def test_a_table_without_known_seconds_is_refused_with_its_columns(tmp_path: Path) -> None:
    path = written(tmp_path / "log.csv", "n,dt,who\n4,0.25,0\n")
    with pytest.raises(hm.ScenarioError, match="of a table with columns n, dt, who, say which one"):
        hm.read_log(path)
    pl.DataFrame({"n": [1], "dt": [0.5]}).write_parquet(path)
    with pytest.raises(hm.ScenarioError, match="of a table with columns n, dt, say which one"):
        hm.read_log(path)


def test_what_cannot_be_read_in_a_folder_is_said(tmp_path: Path) -> None:
    written(tmp_path / "0.csv", STEPS)
    (tmp_path / "1.csv.gz").write_bytes(gzip.compress(b""))
    frame = hm.read_log(tmp_path)
    assert frame.filter(kind="step").height == 3
    [note] = frame.filter(kind="unread")["note"]
    assert "1.csv.gz must not be empty" in note
    (tmp_path / "0.csv").unlink()
    with pytest.raises(hm.ScenarioError, match="must not be empty"):
        hm.read_log(tmp_path)


def test_wrong_names_of_columns_are_refused_at_once(tmp_path: Path) -> None:
    path = written(tmp_path / "log", STEPS)
    wrong: dict[str, Any] = {"stepp": "a", "second": "b"}
    with pytest.raises(hm.ScenarioError) as refused:
        hm.read_log(path, columns=wrong)
    assert [problem.path for problem in refused.value.problems] == [
        "columns.stepp",
        "columns.second",
    ]


def test_progress_ends_at_the_size_of_the_files(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = written(tmp_path / "log", STEPS)
    hm.read_log(path, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (path.stat().st_size, path.stat().st_size)


def test_rows_take_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    n = 200_000
    pl.DataFrame({"step": range(n), "seconds": [1.0] * n}).write_parquet(path)
    assert hm.read_log(path).estimated_size() < 64 * n


def test_another_column_of_seconds_is_told_unless_one_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "log", "step,iteration_time_ms,step_time_s\n1,5,9.5\n")
    notes = hm.read_log(path).filter(kind="unread")["note"].to_list()
    assert notes == [
        "seconds are those of column step_time_s, and not those of iteration_time_ms: "
        "--column seconds=NAME names others"
    ]
    named = hm.read_log(path, columns={"seconds": "iteration_time_ms"})
    assert named["kind"].to_list() == ["step"]
