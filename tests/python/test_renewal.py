"""Jobs with failures: what is refused, and what is no failure at all."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

import hindmost as hm

RARE = {"job": hm.Failures(per_hour=1e-12)}


def renewal(**fields: Any) -> hm.Renewal:
    plain: dict[str, Any] = {"failures": RARE, "restart_s": 600.0, "blocking_s": 30.0}
    return hm.Renewal(**{**plain, **fields})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"failures": {}}, "failures must be a mapping with at least one kind"),
        ({"failures": None}, "failures must be a mapping with at least one kind"),
        ({"failures": {"gpu": 3}}, "failures.gpu must be a hindmost.Failures"),
        ({"failures": {1: hm.Failures(per_hour=1)}}, "failures must have names that are texts"),
        (
            {"failures": {"gpu": hm.Failures(per_hour=1, keeps_local="no")}},  # type: ignore[arg-type]
            "failures.gpu.keeps_local must be True or False",
        ),
        ({"restart_can_fail": 0}, "restart_can_fail must be True or False, got 0"),
        ({"global_level": {"every": 3}}, "global_level must be a hindmost.GlobalLevel"),
        ({"failures": {"gpu": hm.Failures(per_hour=0)}}, "failures.gpu.per_hour must be a finite"),
        (
            {"failures": {"gpu": hm.Failures(per_hour=1e30)}},
            "per_hour must be a finite number from",
        ),
        (
            {"failures": {"gpu": hm.Failures(per_hour=1, shape=-1)}},
            "failures.gpu.shape must be a finite number from 0.5 to 20, got -1",
        ),
        ({"restart_s": -1}, "restart_s must be a finite number >= 0, got -1"),
        ({"restart_s": "soon"}, 'restart_s must be a finite number >= 0, got "soon"'),
        ({"blocking_s": float("nan")}, "blocking_s must be a finite number >= 0, got nan"),
        ({"interval_s": 0}, "interval_s must be a finite number >= 0.001, got 0"),
        ({"blocking_s": 0}, "interval_s must be given where checkpoints do not stop the job"),
        ({"durable_s": float("inf")}, "durable_s must be a finite number >= 0, got inf"),
        (
            {"global_level": hm.GlobalLevel(every=0, blocking_s=1)},
            "global_level.every must be an integer from 1",
        ),
        (
            {"global_level": hm.GlobalLevel(every=2, blocking_s=-1, restart_s=-2)},
            "global_level.restart_s must be a finite number >= 0, got -2",
        ),
    ],
)
def test_what_no_job_has_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(hm.ScenarioError) as refused:
        renewal(**fields)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"seed": -1}, "seed must be an integer from 0"),
        ({"runs": 0}, "runs must be an integer from 1 to 65536, got 0"),
        ({"days": 0}, "days must be a finite number >= 1e-06, got 0"),
        ({"interruptions": 0}, "interruptions must be an integer from 1"),
        ({"checkpoints": 1.5}, "checkpoints must be an integer from 1"),
        (
            {"days": 1, "checkpoints": 2},
            "checkpoints must be left out where days is given",
        ),
        ({"threads": 0}, "threads must be an integer from 1"),
    ],
)
def test_what_no_simulation_takes_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(hm.ScenarioError) as refused:
        renewal().simulate(**arguments)
    assert said in str(refused.value)


def test_without_failures_all_but_checkpoints_is_kept() -> None:
    one = renewal(interval_s=300.0)
    runs = one.simulate(seed=1, runs=3, days=1)
    assert runs.kept == pytest.approx(300 / 330, rel=1e-3)
    assert runs.interruptions.tolist() == [0, 0, 0]
    exact = one.exact
    assert exact is not None
    assert runs.shares["redone"] == runs.shares["restart"] == 0
    finished = one.simulate(seed=1, runs=2, checkpoints=100)
    assert finished.seconds == pytest.approx(np.full(2, 100 * 330.0))
    assert finished.std_error == 0
    assert one.simulate(seed=1, runs=1, days=1).std_error is None


def test_by_default_a_run_lasts_thirty_days() -> None:
    assert renewal(interval_s=300.0).simulate(seed=1, runs=1).seconds == pytest.approx(
        [30 * 86_400]
    )


def test_a_seed_is_drawn_and_told() -> None:
    one = renewal(failures={"job": hm.Failures(per_hour=1.0)}, interval_s=300.0)
    first = one.simulate(runs=2, interruptions=20)
    again = one.simulate(seed=first.seed, runs=2, interruptions=20)
    np.testing.assert_array_equal(first.rows, again.rows)


@pytest.mark.parametrize(
    "fields",
    [
        {"failures": {"job": hm.Failures(per_hour=10)}, "interval_s": 3e5},
        {
            "failures": {"job": hm.Failures(per_hour=1000)},
            "interval_s": 300.0,
            "restart_can_fail": False,
            "global_level": hm.GlobalLevel(every=20, blocking_s=60.0),
        },
    ],
)
def test_segments_that_are_never_reached_keep_nothing(fields: dict[str, Any]) -> None:
    one = renewal(**fields)
    assert one.exact == pytest.approx(0.0, abs=1e-12)
    assert one.simulate(seed=1, runs=2, days=0.1).kept < 0.5


def test_a_job_is_as_it_was_judged() -> None:
    kinds = {"job": hm.Failures(per_hour=1.0)}
    one = renewal(failures=kinds, interval_s=300.0)
    before = one.exact
    kinds["job"] = hm.Failures(per_hour=100.0)
    assert one.exact == before
    again = pickle.loads(pickle.dumps(one))
    assert again == one
    assert again.simulate(seed=1, runs=2, days=1) == one.simulate(seed=1, runs=2, days=1)
    assert renewal(interval_s=np.float32(300.0)).interval_s == 300.0


def test_a_restart_that_hardly_ever_succeeds_is_interrupted() -> None:
    code = (
        "import hindmost as hm\n"
        "job = hm.Renewal(failures={'a': hm.Failures(per_hour=1e6)}, restart_s=600, "
        "blocking_s=1, interval_s=1)\n"
        "print('begun', flush=True)\n"
        "job.simulate(seed=1, runs=2, interruptions=10)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=5)
    assert process.returncode == -signal.SIGINT
    process.stdout.close()
    assert process.stderr is not None
    assert "KeyboardInterrupt" in process.stderr.read()
    process.stderr.close()


def test_no_best_interval_is_sought_where_hardly_any_restart_succeeds() -> None:
    one = renewal(
        failures={"a": hm.Failures(per_hour=100)},
        global_level=hm.GlobalLevel(every=4, blocking_s=30.0),
    )
    with pytest.raises(hm.ScenarioError, match="restart_s must be shorter for a best interval"):
        _ = one.best_interval_s
