"""Sweeps: the same rows on every executor, and none of them lost or computed twice."""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from joblib.externals.loky import get_reusable_executor
from scipy.stats import qmc

import hindmost as hm
from hindmost.sweeps.inputs import Inputs
from hindmost.sweeps.over import parse_over, spread
from hindmost.sweeps.spaces import Range
from hindmost.sweeps.work import OtherVersionError, row_of

SIZE: dict[str, Any] = {"seed": 3, "runs": 2, "steps": 40}
POINTS = hm.grid({"layout.tensor": [4, 3, 8], "pools.h100.software_efficiency": [0.8, 1.0]})
"""Of which the scenario refuses those of a tensor group of 3."""


def bytes_of(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def swept(**call: Any) -> pl.DataFrame:
    return hm.sweep(POINTS, "h100-1k", **{**SIZE, **call})


@pytest.fixture(scope="module")
def expected() -> bytes:
    return bytes_of(swept())


@contextmanager
def of_threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(3) as pool:
        yield pool


@contextmanager
def of_spawned() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        yield pool


@contextmanager
def of_loky() -> Iterator[Executor]:
    pool = get_reusable_executor(2)
    yield pool
    pool.shutdown()


@contextmanager
def of_dask() -> Iterator[Executor]:
    from distributed import Client, LocalCluster

    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    start: Any = LocalCluster
    connect: Any = Client
    with start(**options) as cluster, connect(cluster) as client:
        yield client.get_executor()


@pytest.mark.parametrize("way", [of_threads, of_spawned, of_loky, of_dask])
def test_rows_are_the_same_bytes_on_every_executor(way: Callable[[], Any], expected: bytes) -> None:
    with way() as executor:
        assert bytes_of(swept(executor=executor)) == expected


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_rows_do_not_depend_on_threads(threads: int, expected: bytes) -> None:
    assert bytes_of(swept(threads=threads)) == expected


def test_a_row_is_what_simulate_says() -> None:
    frame = swept()
    assert frame["index"].to_list() == list(range(6))
    assert frame["layout.tensor"].to_list() == [4, 4, 3, 3, 8, 8]
    assert frame["seed"].to_list() == [3] * 6
    assert frame.columns[:5] == ["index", *POINTS[0], "seed", "method"]
    assert frame.columns[-1] == "error"
    for row in frame.filter(pl.col("error").is_null()).to_dicts():
        result = hm.simulate("h100-1k", changes=POINTS[row["index"]], **SIZE)
        assert row["method"] == result.inputs["method"]
        for one in result.summary_rows:
            assert row[f"{one['metric']}_{one['statistic']}"] == one["value"]
    refused = frame.filter(pl.col("layout.tensor") == 3)
    assert refused["mfu_mean"].null_count() == refused["method"].null_count() == 2
    assert refused["error"][0] == (
        "changes: layout.tensor must divide the 64 heads of llama3-70b, got 3"
    )


def test_whole_scenarios_bring_their_own_sizes() -> None:
    one = hm.simulate("h100-1k", seed=11, runs=3, steps=20)
    points = [one.inputs, hm.load("h100-1k"), {"scenario": hm.load("h100-1k"), "seed": 12}]
    frame = hm.sweep(points, seed=5, runs=2, steps=10)
    assert frame["seed"].to_list() == [11, 5, 12]
    assert frame["mfu_mean"][0] == one.value("mfu")
    assert frame["mfu_mean"][1] == hm.simulate("h100-1k", seed=5, runs=2, steps=10).value("mfu")
    assert frame.columns[:2] == ["index", "seed"]


def test_whole_runs_have_their_columns_where_there_are_failures() -> None:
    failing = {"failures.node": {"scope": "node", "per_hour": 1e-4}, "recovery.restart_s": 60.0}
    frame = hm.sweep([{}, failing], "h100-1k", **SIZE)
    result = hm.simulate("h100-1k", changes=failing, **SIZE)
    assert frame["goodput_mean"].to_list() == [None, result.value("goodput")]
    assert "goodput_mean" not in swept().columns


def test_changed_values_have_columns_of_one_type() -> None:
    points: list[dict[str, Any]] = [
        {"layout.tensor": 8, "pools.h100.software_efficiency": 1},
        {"pools.h100.software_efficiency": 0.5, "causes.stall.law.cap": 3.0},
        {"causes.stall.enabled": False, "workload.dtype": "bf16", "causes.stall.pools": ["h100"]},
    ]
    frame = hm.sweep(points, "h100-1k", **SIZE)
    assert frame["layout.tensor"].to_list() == [8, None, None]
    assert frame["pools.h100.software_efficiency"].to_list() == [1.0, 0.5, None]
    assert frame["causes.stall.enabled"].to_list() == [None, None, False]
    assert frame["workload.dtype"].to_list() == [None, None, "bf16"]
    assert frame["causes.stall.pools"].to_list() == [None, None, '["h100"]']


def test_no_points_make_an_empty_frame() -> None:
    frame = hm.sweep([], "h100-1k", **SIZE)
    assert frame.height == 0
    assert {"index", "seed", "method", "mfu_mean", "error"} <= set(frame.columns)


class Counting(Executor):
    """An executor that does its work at once, and fails as it is told."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures = list(failures)
        self.n_submitted = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.n_submitted += 1
        future: Future[Any] = Future()
        if self.failures:
            future.set_exception(self.failures.pop(0))
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def test_a_worker_that_fails_is_tried_again_and_a_refusal_is_not(expected: bytes) -> None:
    executor = Counting(OSError("no room"), MemoryError())
    assert bytes_of(swept(executor=executor)) == expected
    assert executor.n_submitted == len(POINTS) + 2


def test_a_point_whose_worker_always_fails_says_so_and_is_not_kept(tmp_path: Path) -> None:
    always = Counting(*[OSError("no room")] * 100)
    frame = swept(executor=always, retries=1, store=tmp_path)
    assert frame["error"].to_list() == ["failed 2 times: OSError: no room"] * len(POINTS)
    assert always.n_submitted == 2 * len(POINTS)
    assert swept(store=tmp_path)["error"].null_count() == 4


def test_a_pool_that_breaks_ends_the_sweep_and_keeps_what_is_done(tmp_path: Path) -> None:
    seen: list[int] = []
    points = hm.grid({"pools.h100.software_efficiency": [0.5 + 0.001 * n for n in range(300)]})
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        worker = pool.submit(os.getpid).result()

        def kill(done: int, _total: int) -> None:
            if done and not seen:
                seen.append(done)
                os.kill(worker, signal.SIGKILL)

        said = r"the executor broke: .*more points are in the store"
        with pytest.raises(hm.ExecutorError, match=said):
            hm.sweep(points, "h100-1k", pool, tmp_path, progress=kill, **SIZE)
    assert len(list(tmp_path.glob("*.json"))) >= seen[0] > 0


def test_a_worker_of_another_version_is_refused() -> None:
    inputs = Inputs(points=[{}], base=hm.load("h100-1k"), seed=1, runs=1, steps=1, method="auto")
    other = {**json.loads(inputs.text(0)), "version": "0.0.1"}
    with pytest.raises(OtherVersionError, match=r"of hindmost, and the sweep is of 0\.0\.1"):
        row_of(json.dumps(other))
    with pytest.raises(OtherVersionError):
        swept(executor=Counting(OtherVersionError("another")))


def test_a_store_computes_no_point_twice(tmp_path: Path, expected: bytes) -> None:
    first = Counting()
    swept(executor=first, store=tmp_path / "deep" / "store")
    again = Counting()
    found = swept(executor=again, store=tmp_path / "deep" / "store")
    assert (first.n_submitted, again.n_submitted) == (len(POINTS), 0)
    assert bytes_of(found) == expected
    # Another sweep takes what both have.
    more = [*POINTS[:2], {"layout.tensor": 2}]
    third = Counting()
    hm.sweep(more, "h100-1k", third, tmp_path / "deep" / "store", **SIZE)
    assert third.n_submitted == 1


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"row": 3}', b'{"row": {"method": "auto"}}'])
def test_a_damaged_row_is_computed_anew(tmp_path: Path, damage: bytes, expected: bytes) -> None:
    swept(store=tmp_path)
    files = sorted(tmp_path.glob("*.json"))
    for file in files:
        file.write_bytes(damage)
    assert bytes_of(swept(store=tmp_path)) == expected
    assert all(file.stat().st_size > 100 for file in files)


def test_a_sweep_with_a_drawn_seed_goes_on_with_it(tmp_path: Path) -> None:
    call: dict[str, Any] = {"seed": None, "store": tmp_path}
    one, other = (swept(**call) for _ in range(2))
    assert one.equals(other)
    assert not swept(seed=None).equals(one)


WRONG: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no list": ({"layout.tensor": 8}, {}, "points must be a list of points, got a dict"),
    "a point that is none": ([{}, 3], {}, "points.1 must be a mapping of key paths to values"),
    "a key that is none": ([{3: 4}], {}, 'points.0 must have key paths as keys, got "3"'),
    "a value that no document has": (
        [{"layout.tensor": object()}],
        {},
        "points.0 must have plain values, and layout.tensor has none",
    ),
    "retries": ([{}], {"retries": -1}, "retries must be an integer from 0 to 100, got -1"),
    "a seed": ([{}], {"seed": -1}, "seed must be an integer from 0 to"),
    "a method": ([{}], {"method": "fast"}, "method must be one of auto, order-statistics, sample"),
    "threads": ([{}], {"threads": 0}, "threads must be an integer from 1 to 1024, got 0"),
    "runs": ([{}], {"runs": 0}, "runs must be an integer from 1 to 65536, got 0"),
    "a store": ([{}], {"store": "/proc/none"}, "store must be a folder that can be written to"),
}


@pytest.mark.parametrize("name", WRONG)
def test_calls_that_mean_nothing_are_refused(name: str) -> None:
    points, call, said = WRONG[name]
    with pytest.raises(hm.ScenarioError) as refused:
        hm.sweep(points, "h100-1k", **{**SIZE, **call})
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ({"layout.tensor": 8}, "points.0 must be the inputs of a result, with a scenario"),
        ({"scenario": 3}, "points.0 must be the inputs of a result"),
        (
            "h100-1k",
            "points.0 must be the inputs of a result, with a scenario, or a scenario, "
            "got a str; changes of one scenario take base=",
        ),
        ({"scenario": {}, "runs": 0}, "points.0.runs must be an integer from 1 to 65536, got 0"),
    ],
)
def test_points_without_a_base_are_whole_scenarios(point: Any, said: str) -> None:
    with pytest.raises(hm.ScenarioError) as refused:
        hm.sweep([point], **SIZE)
    assert said in str(refused.value)


def test_grids_change_the_last_key_fastest() -> None:
    assert hm.grid({"a": [1, 2], "b": ["x", "y"]}) == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    ]
    assert hm.grid({}) == [{}]
    wrong: Any
    for wrong in ({"a": []}, {"a": 3}, {"a": range(2000), "b": range(2000)}):
        with pytest.raises(hm.ScenarioError, match=r"^over"):
            hm.grid(wrong)


def test_a_latin_hypercube_has_one_value_in_each_part_of_each_range() -> None:
    n = 500
    points = hm.sampled({"a": (0.0, 1.0), "b": (0.0, 1.0)}, n, seed=4)
    for path in "ab":
        assert sorted(int(point[path] * n) for point in points) == list(range(n))
    assert points == hm.sampled({"a": (0.0, 1.0), "b": (0.0, 1.0)}, n, seed=4)
    assert points != hm.sampled({"a": (0.0, 1.0), "b": (0.0, 1.0)}, n, seed=5)


def test_a_sobol_sample_fills_the_square_better_than_random_numbers() -> None:
    n = 256
    points = hm.sampled({"a": (0.0, 1.0), "b": (0.0, 1.0)}, n, design="sobol", seed=4)
    unit = [[point["a"], point["b"]] for point in points]
    # What independent points have is 0.0042 on average.
    assert qmc.discrepancy(unit) < 0.0005
    # Every box of 1/16 x 1/16 has one.
    assert len({(int(16 * a), int(16 * b)) for a, b in unit}) == n


def test_samples_take_values_laws_and_whole_numbers() -> None:
    law = {"name": "log-uniform", "low": 1.0, "high": 100.0}
    space: dict[str, Any] = {
        "tensor": [1, 2, 4, 8],
        "ranks": (1, 3),
        "law": law,
        "pair": ["x", "y"],
    }
    points = hm.sampled(space, 1200, seed=1)
    expected: dict[str, list[Any]] = {**space, "ranks": [1, 2, 3]}
    del expected["law"]
    for path, values in expected.items():
        drawn = [point[path] for point in points]
        assert [drawn.count(value) for value in values] == [1200 // len(values)] * len(values)
    below = sum(point["law"] < 10 for point in points)
    assert below == 600


@pytest.mark.parametrize(
    ("space", "call", "said"),
    [
        ({"a": (2.0, 1.0)}, {}, "over.a must be two finite numbers, the smaller first"),
        ({"a": []}, {}, "over.a must have at least one value"),
        ({"a": 3}, {}, "over.a must be a list of values, got 3"),
        ({"a": {"name": "lognormal", "sigma": -1}}, {}, "over.a.sigma must be"),
        ({"a": (0, 1)}, {"design": "grid"}, "design must be one of latin-hypercube, sobol"),
        ({"a": (0, 1)}, {"n": 0}, "n must be an integer from 1 to 1000000, got 0"),
    ],
)
def test_samples_of_nothing_are_refused(space: Any, call: dict[str, Any], said: str) -> None:
    with pytest.raises(hm.ScenarioError) as refused:
        hm.sampled(space, **{"n": 4, **call})
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "path", "values"),
    [
        ("layout.tensor=4,8", "layout.tensor", [4, 8]),
        ("a.b=0.4:1.0:4", "a.b", [0.4, 0.6, 0.8, 1.0]),
        ("a.b=1:100:3:log", "a.b", [1, 10, 100]),
        ("a.b=1:4:4", "a.b", [1, 2, 3, 4]),
        ("a.b=1:2:5", "a.b", [1, 2]),
        ("fabric.shape=[4, 4],[8, 8]", "fabric.shape", [[4, 4], [8, 8]]),
        ("fabric.name=a,b", "fabric.name", ["a", "b"]),
        ('not="x,y",z', "not", ["x,y", "z"]),
        ("x=true", "x", [True]),
    ],
)
def test_what_over_means(text: str, path: str, values: list[Any]) -> None:
    found = spread([parse_over(text)])
    assert list(found) == [path]
    assert found[path] == pytest.approx(values) if ":" in text else found[path] == values


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("layout.tensor", "must be KEY.PATH=VALUES"),
        ("=4", "must be KEY.PATH=VALUES"),
        ("a=", "must be KEY.PATH=VALUES"),
        ("a=4,,8", "must have a value on both sides of each comma"),
        ("a=1:0.5:3", "must have the smaller number first"),
        ("a=0:1:3:log", "must have the smaller number first, above 0"),
        ("a=0:1:1", "must have a number of values from 2 to 1,000,000"),
        ("a=0:1:x", "must be LOW:HIGH:NUMBER, with :log if wanted"),
        ("a=0:1:2:3", "must be LOW:HIGH:NUMBER, with :log if wanted"),
    ],
)
def test_an_over_that_means_nothing_is_refused(text: str, said: str) -> None:
    with pytest.raises(hm.ScenarioError) as refused:
        parse_over(text)
    assert f"--over {said}, got" in str(refused.value)


def test_a_range_of_a_grid_must_say_how_many_values_it_has() -> None:
    with pytest.raises(hm.ScenarioError, match=r"--over a must say how many values a grid has"):
        spread([parse_over("a=0:1")])
    assert Range(low=0, high=9, is_integer=True).at(0.999) == 9


# The command.

OVER = ("--over", "layout.tensor=4,3,8", "--over", "pools.h100.software_efficiency=0.8:1.0:2")
CALL = (sys.executable, "-m", "hindmost", "sweep", "h100-1k")
SIZES = ("--runs", "2", "--steps", "40", "--seed", "3")


def said(*options: str, **call: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CALL, *options], capture_output=True, text=True, check=False, **call)


def test_the_command_writes_what_the_function_returns(tmp_path: Path, expected: bytes) -> None:
    for suffix in (".parquet", ".csv", ".json"):
        path = tmp_path / f"out{suffix}"
        done = said(*OVER, *SIZES, "-o", str(path))
        assert done.returncode == 0, done.stderr
        assert f"wrote {path}" in done.stderr
        assert "4 of 6 points" in done.stdout
        assert "2: changes: layout.tensor must divide the 64 heads" in done.stdout
        assert not (tmp_path / f"out{suffix}.parts").exists()
    frame = swept()
    assert (tmp_path / "out.parquet").read_bytes() == expected
    assert (tmp_path / "out.csv").read_text() == frame.write_csv()
    assert json.loads((tmp_path / "out.json").read_text()) == frame.to_dict(as_series=False)


def test_the_command_prints_in_every_format() -> None:
    document = json.loads(said(*OVER, *SIZES, "--format", "json").stdout)
    assert document["inputs"] == {"base": "h100-1k", "runs": 2, "steps": 40}
    assert document["points"] == swept().to_dicts()
    rows = said(*OVER, *SIZES, "--format", "csv").stdout.splitlines()
    assert rows[0].startswith("index,layout.tensor,pools.h100.software_efficiency,seed,method,")
    assert len(rows) == 7
    assert "| point |" in said(*OVER, *SIZES, "--format", "markdown").stdout


def test_many_points_are_shown_by_the_best_of_them() -> None:
    shown = said(
        "--over", "pools.h100.software_efficiency=0.5:1.0:30", "--runs", "1", "--steps", "5"
    ).stdout
    assert "30 of 30 points" in shown
    assert "The 24 with the highest MFU" in shown
    assert shown.splitlines()[4].split()[0] == "29"


def test_samples_of_unknowns_are_points(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    size = ("--runs", "1", "--steps", "5", "--seed", "4", "-o", str(path))
    done = said("--unknowns", "--sample", "8", *size)
    assert done.returncode == 0, done.stderr
    frame = pl.read_parquet(path)
    assert frame.height == 8
    assert set(hm.load("h100-1k").unknowns) <= set(frame.columns)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "--over is missing: something to sweep over"),
        (("--unknowns",), "--sample is missing: how many points of the unknowns"),
        (("--over", "a=1", "--over", "a=2"), "--over must be given once for each key path"),
        (("--over", "a=0:1"), '--over a must say how many values a grid has, got "0:1"'),
        (("--over", "a", "-o", "x.txt"), "--output must end in .parquet, .csv, .json"),
        (("--over", "a", "-o", "x.txt"), "--over must be KEY.PATH=VALUES"),
    ],
)
def test_wrong_calls_are_refused(options: tuple[str, ...], words: str) -> None:
    done = said(*options)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def no_more_than(n_bytes: int) -> Callable[[], None]:
    """Return what limits the size of the files that a process may write, as a full disk does."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))

    return limit


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".json"])
def test_a_full_disk_keeps_the_points(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    many = ("--over", "pools.h100.software_efficiency=0.5:1.0:150", "--runs", "1", "--steps", "5")
    done = said(*many, "-o", str(path), preexec_fn=no_more_than(40_000))
    assert done.returncode == 3
    assert f"{path} could not be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert not path.exists()
    parts = tmp_path / f"out{suffix}.parts"
    before = kept(parts)
    assert len(before) == 150
    assert said(*many, "-o", str(path)).returncode == 0
    assert path.exists()
    assert not list(tmp_path.glob(".hindmost*"))


MANY = ("--over", "pools.h100.software_efficiency=0.5:1.0:120", "--runs", "16", "--steps", "20000")


def kept(folder: Path) -> dict[str, int]:
    """Return when each point of a folder was written."""
    files = (path for path in folder.glob("*.json") if not path.name.startswith("seed-"))
    return {path.name: path.stat().st_mtime_ns for path in files}


def wait_for(folder: Path, n: int) -> None:
    until = time.monotonic() + 60
    while len(kept(folder)) < n:
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.timed
def test_a_sweep_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """At two moments, and without a seed: what was done stays as it was written."""
    path = tmp_path / "out.parquet"
    parts = tmp_path / "out.parquet.parts"
    before: dict[str, int] = {}
    for n in (5, 40):
        running = subprocess.Popen([*CALL, *MANY, "-o", str(path)], stderr=subprocess.DEVNULL)
        wait_for(parts, n)
        running.kill()
        running.wait()
        now = kept(parts)
        assert before.items() <= now.items()
        assert not path.exists()
        before = now
    watched = subprocess.Popen([*CALL, *MANY, "-o", str(path)], stdout=subprocess.DEVNULL)
    wait_for(parts, len(before) + 20)
    assert before.items() <= kept(parts).items()
    assert watched.wait() == 0
    assert not parts.exists()
    frame = pl.read_parquet(path)
    assert frame.height == 120
    assert frame["error"].null_count() == 120
    [seed] = frame["seed"].unique().to_list()
    points = hm.grid(spread([parse_over(MANY[1])]))[:3]
    again = hm.sweep(points, "h100-1k", seed=seed, runs=16, steps=20_000)
    assert again["mfu_mean"].to_list() == frame["mfu_mean"].to_list()[:3]


@pytest.mark.timed
def test_an_interrupt_is_answered_within_a_second(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    running = subprocess.Popen(
        [*CALL, *MANY, "-o", str(path)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    wait_for(tmp_path / "out.parquet.parts", 3)
    sent = time.monotonic()
    running.send_signal(signal.SIGINT)
    _, words = running.communicate()
    assert time.monotonic() - sent < 1.0
    assert running.returncode == 130
    assert "points are in" in words
    assert "the same command goes on" in words
    assert len(kept(tmp_path / "out.parquet.parts")) >= 3
