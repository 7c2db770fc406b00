"""Jobs with failures: what is refused, and what is no failure at all."""

from __future__ import annotations

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
        ({"failures": {}}, "failures must have at least one kind"),
        ({"failures": {"gpu": hm.Failures(per_hour=0)}}, "failures.gpu.per_hour must be a finite"),
        (
            {"failures": {"gpu": hm.Failures(per_hour=1, shape=-1)}},
            "failures.gpu.shape must be a finite number > 0, got -1",
        ),
        ({"restart_s": -1}, "restart_s must be a finite number >= 0, got -1"),
        ({"restart_s": "soon"}, 'restart_s must be a finite number >= 0, got "soon"'),
        ({"blocking_s": float("nan")}, "blocking_s must be a finite number >= 0, got nan"),
        ({"interval_s": 0}, "interval_s must be a finite number > 0, got 0"),
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
        ({"days": 0}, "days must be a finite number > 0, got 0"),
        ({"interruptions": 0}, "interruptions must be an integer from 1"),
        ({"checkpoints": 1.5}, "checkpoints must be an integer from 1"),
        ({"days": 1, "checkpoints": 2}, "end must be one of days, interruptions, checkpoints"),
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
