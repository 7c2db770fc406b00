"""Simulations in threads and in processes, by every way that is documented."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import dask.base
import joblib
import pytest
from dask.delayed import delayed

import hindmost as hm

SEEDS = range(4)
PRESETS = ("h100-1k", "colossus-1-pp16")
"""One that is drawn from laws, and one whose every rank is sampled."""
SMALL: dict[str, Any] = {"runs": 2, "steps": 3, "threads": 1}


def job(preset: str, seed: int) -> hm.Result:
    """Simulate as a script would, and use Polars on the way."""
    result = hm.simulate(preset, seed=seed, **SMALL)
    assert result.steps.height == 6
    return result


JOBS = [(preset, seed) for preset in PRESETS for seed in SEEDS]


@cache
def serial() -> list[hm.Result]:
    return [job(*one) for one in JOBS]


def in_threads() -> list[hm.Result]:
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(job, *zip(*JOBS, strict=True)))


def by_forkserver() -> list[hm.Result]:
    with ProcessPoolExecutor(1, get_context("forkserver")) as pool:
        return list(pool.map(job, *zip(*JOBS, strict=True)))


def by_joblib() -> list[hm.Result]:
    found: list[hm.Result] = joblib.Parallel(n_jobs=2, backend="loky")(
        joblib.delayed(job)(*one) for one in JOBS
    )
    return found


def by_dask(scheduler: str, workers: int) -> list[hm.Result]:
    compute: Any = dask.base.compute
    return list(
        compute(*(delayed(job)(*one) for one in JOBS), scheduler=scheduler, num_workers=workers)
    )


WAYS: dict[str, Callable[[], list[hm.Result]]] = {
    "threads": in_threads,
    "forkserver": by_forkserver,
    "joblib": by_joblib,
    "dask threads": lambda: by_dask("threads", 4),
    "dask processes": lambda: by_dask("processes", 1),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_the_results_of_a_loop(way: str) -> None:
    assert WAYS[way]() == serial()


@pytest.fixture(scope="module")
def spawned() -> Iterator[ProcessPoolExecutor]:
    """Return a spawned process, which starts in the time of a whole test."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        yield pool


def test_a_spawned_process_gives_the_results_of_a_loop(spawned: ProcessPoolExecutor) -> None:
    assert list(spawned.map(job, *zip(*JOBS, strict=True))) == serial()


def test_threads_may_share_one_compiled_scenario() -> None:
    compiled = hm.compile("h100-1k")
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda seed: compiled.simulate(seed=seed, **SMALL), SEEDS)
        assert list(found) == serial()[: len(SEEDS)]


def test_threads_may_write_side_by_side(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        paths = [tmp_path / f"{index}.parquet" for index in range(len(JOBS))]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(hm.Result.write, serial(), paths))
            assert list(pool.map(hm.read, paths)) == serial()
        assert {path.stat().st_mode & 0o777 for path in paths} == {0o640}
    finally:
        assert os.umask(mask) == 0o027
    assert len(list(tmp_path.iterdir())) == len(paths)


def scenario_there(scenario: hm.Scenario) -> hm.Result:
    return hm.simulate(scenario, seed=0, **SMALL)


def compiled_there(compiled: hm.Compiled) -> hm.Result:
    return compiled.simulate(seed=0, **SMALL)


def read_there(path: Path) -> hm.Result:
    return hm.read(path)


def same_there(result: hm.Result) -> hm.Result:
    assert hm.simulate("h100-1k", seed=0, **SMALL) == result
    return result


def test_what_is_sent_to_a_process_comes_back_equal(
    spawned: ProcessPoolExecutor, tmp_path: Path
) -> None:
    scenario = hm.load("h100-1k")
    expected = serial()[0]
    expected.write(tmp_path / "result.parquet")
    results = [
        spawned.submit(scenario_there, scenario),
        spawned.submit(compiled_there, hm.compile(scenario)),
        spawned.submit(read_there, tmp_path / "result.parquet"),
        spawned.submit(same_there, expected),
    ]
    assert [result.result() for result in results] == [expected] * len(results)


class RefusalError(hm.ScenarioError):
    """A refusal that knows more, and is made of other arguments."""

    def __init__(self, where: str, problems: Sequence[hm.Problem]) -> None:
        super().__init__(problems)
        self.where = where


WRONG = {"pools.h100.n_gpus": 0, "workload.seqlen": 8}


def refuse(where: str) -> None:
    try:
        hm.load("h100-1k", WRONG)
    except hm.ScenarioError as error:
        raise RefusalError(where, error.problems) from None


def test_a_refusal_comes_out_of_a_process_whole(spawned: ProcessPoolExecutor) -> None:
    with pytest.raises(hm.ScenarioError) as here:
        hm.load("h100-1k", WRONG)
    for there in (
        spawned.submit(hm.load, "h100-1k", WRONG).exception(),
        spawned.submit(refuse, "there").exception(),
    ):
        assert isinstance(there, hm.ScenarioError)
        assert there.problems == here.value.problems
        assert len(there.problems) == 2
        assert (str(there), there.args) == (str(here.value), here.value.args)
    assert isinstance(there, RefusalError)
    assert there.where == "there"


def test_a_forked_child_may_simulate_whatever_its_parent_did() -> None:
    """Only Polars must not be used there, as docs/reproducibility.md says."""
    serial()
    with ProcessPoolExecutor(1, get_context("fork")) as pool:
        values = list(pool.map(value_of, *zip(*JOBS[:2], strict=True), timeout=60))
    assert values == [result.value("mfu") for result in serial()[:2]]


def value_of(preset: str, seed: int) -> float:
    return hm.simulate(preset, seed=seed, **SMALL).value("mfu")
