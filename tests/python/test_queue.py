"""Queues for servers: closed forms, what is refused, and what never changes."""

from __future__ import annotations

import math
import pickle
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
import scipy.stats

import hindmost as hm

SECOND = {"name": "exponential", "mean": 1.0}
LENGTHS = {"name": "exponential", "mean": 200.0}
PASS: dict[str, Any] = {"discipline": "batch", "a_s": 20e-3, "b_s": 0.2e-3}

# Worked values: closed forms evaluated elsewhere, to the digits that are given.
WORKED: list[tuple[dict[str, Any], dict[str, float]]] = [
    (
        {"servers": 10, "arrivals_per_s": 8, "service": SECOND},
        {"waits": 0.4091802, "wait_s": 0.2045901, "wait_s.p99": 1.8557852},
    ),
    ({"arrivals_per_s": 0.8, "service": 1.0}, {"wait_s": 2.0}),
    (
        # Of mean 1: the median is exp(-1/2).
        {
            "arrivals_per_s": 0.8,
            "service": {"name": "lognormal", "median": math.exp(-0.5), "sigma": 1.0},
        },
        {"wait_s": 5.4365637},
    ),
    (
        {"arrivals_per_s": 0.8, "service": 1.0, "discipline": "ps"},
        {"response_s": 5.0, "empty": 0.2},
    ),
    (
        {"arrivals_per_s": 12, "service": 200, **PASS},
        {"s_per_token": 0.03884615, "number": 93.230769},
    ),
    (
        {"arrivals_per_s": 9, "service": LENGTHS, "cap": 64, **PASS},
        {"waits": 0.33225, "number": 60.580, "wait_s": 0.43942, "s_per_token": 0.031459},
    ),
]


@pytest.mark.parametrize(("arguments", "expected"), WORKED)
def test_closed_forms_have_the_worked_values(
    arguments: dict[str, Any], expected: dict[str, float]
) -> None:
    exact = hm.queue(**arguments).exact
    assert exact is not None
    for metric, value in expected.items():
        digits = len(str(value).partition(".")[2])
        assert exact[metric] == pytest.approx(value, abs=0.6 * 10**-digits), metric


def test_capacity_is_what_prompts_and_passes_leave() -> None:
    # 1 / (s + L (a / B + b)).
    made = hm.queue(arrivals_per_s=1, service=200, cap=128, prefill_s=50e-3, **PASS)
    assert made.capacity_per_s == pytest.approx(8.2474227, abs=5e-8)
    assert hm.queue(arrivals_per_s=1, service=0.25, servers=3).capacity_per_s == 12.0
    never_full = hm.queue(arrivals_per_s=1, service=200, discipline="batch", a_s=0.01, b_s=0)
    assert never_full.capacity_per_s == math.inf


def test_the_longest_of_a_hundred_is_mostly_beyond_a_percentile_of_one() -> None:
    # Dean and Barroso, The tail at scale: of a hundred servers each slower than its own p99 with
    # 1%. The law of a maximum is what steps wait for, too.
    p99 = -math.log(0.01)
    law = scipy.stats.expon()
    assert 1 - law.cdf(p99) ** 100 == pytest.approx(0.6339677, abs=5e-8)


def test_waits_by_three_closed_forms_agree() -> None:
    many = hm.queue(arrivals_per_s=0.7, service=SECOND).exact
    # GI/M/1 with gaps of nearly the same law, and M/G/1.
    gaps = hm.queue(arrivals_per_s=0.7, service=SECOND, variation=1 + 1e-9).exact
    law = hm.queue(arrivals_per_s=0.7, service=scipy.stats.expon()).exact
    assert many is not None
    assert gaps is not None
    assert law is not None
    for metric in ("wait_s", "response_s", "number", "waits"):
        assert gaps[metric] == pytest.approx(many[metric], rel=1e-6)
        # A law of scipy becomes a table of its quantiles.
        assert law[metric] == pytest.approx(many[metric], rel=1e-5)


def test_a_clock_before_one_exponential_server_has_the_root_of_its_equation() -> None:
    exact = hm.queue(arrivals_per_s=0.8, service=SECOND, variation=0).exact
    assert exact is not None
    sigma = exact["waits"]
    assert sigma == pytest.approx(math.exp(-(1 - sigma) / 0.8), rel=1e-9)
    assert 0 < sigma < 0.8


def test_number_and_response_keep_to_littles_law() -> None:
    for arguments, _ in WORKED:
        exact = hm.queue(**arguments).exact
        assert exact is not None
        if {"number", "response_s"} <= set(exact):
            expected = arguments["arrivals_per_s"] * exact["response_s"]
            assert exact["number"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "arguments",
    [
        {"arrivals_per_s": 3, "service": {"name": "lognormal", "sigma": 1}, "servers": 8},
        {"arrivals_per_s": 3, "service": SECOND, "servers": 8, "variation": 2},
        {"arrivals_per_s": 0.5, "service": 1.0, "discipline": "ps", "variation": 0.5},
        {"arrivals_per_s": 0.5, "service": 1.0, "discipline": "ps", "servers": 2},
        {"arrivals_per_s": 2, "service": 200, "cap": 64, **PASS},
        {"arrivals_per_s": 2, "service": LENGTHS, "prefill_s": 0.01, **PASS},
    ],
)
def test_there_is_no_closed_form_where_none_is_known(arguments: dict[str, Any]) -> None:
    assert hm.queue(**arguments).exact is None


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(hm.ScenarioError) as refused:
        hm.queue(
            arrivals_per_s=-1,
            service={"name": "lognormal", "sigma": -1},
            servers=0,
            discipline="lifo",
            variation=-1,
            routing="random",
            a_s=-1,
        )
    text = str(refused.value)
    for said in (
        "arrivals_per_s must be >= 1e-12, got -1",
        "service.sigma must be",
        "servers must be >= 1, got 0",
        'discipline must be fcfs, ps or batch, got "lifo"',
        "variation must be >= 0",
        'routing must be round-robin, least-loaded or speed-aware, got "random"',
        "a_s must be >= 0, got -1",
    ):
        assert said in text, text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"service": "long"}, "service must be a number > 0, or a law"),
        ({"service": 0}, "service must be > 0"),
        ({"service": {"name": "constat", "value": 1}}, "service.name"),
        ({"service": math.nan}, "service"),
        ({"service": {"name": "pareto", "minimum": 1, "alpha": 1.5}}, "service.alpha must be"),
        ({"arrivals_per_s": math.inf}, "arrivals_per_s"),
        ({"arrivals_per_s": 1.0}, "arrivals_per_s must be < 1, which is what the servers can take"),
        ({"a_s": 1.0}, 'a_s must be left out with the discipline "fcfs"'),
        ({"cap": 3, "discipline": "ps"}, 'cap must be left out with the discipline "ps"'),
        ({"prefill_s": 3}, "prefill_s must be left out"),
        ({"discipline": "batch"}, "a_s is missing, which batch takes"),
        ({"discipline": "batch", "a_s": 0, "b_s": 0}, "a_s must be > 0 where b_s is 0"),
        ({**PASS, "service": 200, "arrivals_per_s": 30}, "arrivals_per_s must be < 25"),
        ({"variation": 0.001}, "variation must be 0, or >= 0.011"),
        ({"variation": 1e9}, "variation must be <= 1000"),
        ({"routing": "round-robin"}, "routing must be left out with one queue"),
        ({"arrivals_per_s": 1e-300}, "arrivals_per_s must be >= 1e-12"),
        ({**PASS, "service": 200, "cap": 10**7}, "cap must be <= 1000000"),
    ],
)
def test_what_no_queue_has_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(hm.ScenarioError) as refused:
        hm.queue(**{"arrivals_per_s": 0.5, "service": 1.0, **arguments})
    assert said in str(refused.value), str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"seed": -1}, "seed must be an integer from 0"),
        ({"runs": 0}, "runs must be an integer from 1"),
        ({"requests": 1}, "requests must be an integer from 1600"),
        ({"requests": 1e3}, "requests must be an integer"),
        ({"threads": 0}, "threads must be an integer from 1"),
    ],
)
def test_what_no_simulation_takes_is_refused(arguments: dict[str, Any], said: str) -> None:
    made = hm.queue(arrivals_per_s=0.5, service=1.0)
    with pytest.raises(hm.ScenarioError) as refused:
        made.simulate(**arguments)
    assert said in str(refused.value), str(refused.value)


def test_equal_seeds_give_equal_requests_on_any_number_of_threads() -> None:
    made = hm.queue(arrivals_per_s=9, service=LENGTHS, servers=3, cap=16, variation=2, **PASS)
    found = [made.simulate(seed=5, requests=20_000, threads=n) for n in (1, 2, 7)]
    assert found[0] == found[1] == found[2]
    assert found[0] != made.simulate(seed=6, requests=20_000)
    again = pickle.loads(pickle.dumps(found[0]))
    assert again == found[0]
    assert pickle.loads(pickle.dumps(made)) == made


def test_tables_hold_what_estimates_say() -> None:
    found = hm.queue(arrivals_per_s=9, service=LENGTHS, cap=64, **PASS).simulate(
        seed=2, requests=40_000
    )
    frame, requests = found.frame, found.requests
    assert frame.height == len(found.estimates)
    row = frame.filter(metric="response_s", statistic="p90")
    assert row["value"].item() == found.value("response_s", "p90")
    # Of each run's requests three quarters count.
    assert requests.height == 16 * 1_875
    by_run = requests.group_by("run", maintain_order=True).mean()["response_s"].to_numpy()
    assert float(np.mean(by_run)) == pytest.approx(found.value("response_s"), rel=1e-12)
    error = float(np.std(by_run, ddof=1)) / 4
    assert error == pytest.approx(found.std_error("response_s"), rel=1e-12)
    with pytest.raises(KeyError, match="slowdown"):
        found.value("slowdown")


def test_a_rare_percentile_has_no_number() -> None:
    found = hm.queue(arrivals_per_s=0.5, service=1.0).simulate(seed=1, requests=3_200)
    statistics = [(one.metric, one.statistic) for one in found.estimates]
    assert ("wait_s", "p90") in statistics
    assert ("wait_s", "p99") not in statistics
    assert (
        hm.queue(arrivals_per_s=0.5, service=1.0)
        .simulate(seed=1, runs=1, requests=3_200)
        .std_error("wait_s")
        is None
    )


def test_runs_that_are_too_short_say_so() -> None:
    def is_settled(arguments: dict[str, Any], **size: Any) -> bool | None:
        return hm.queue(**arguments).simulate(seed=1, **size).is_settled

    assert is_settled({"arrivals_per_s": 0.8, "service": SECOND}) is True
    # Near saturation a queue grows for longer than runs last.
    assert is_settled({"arrivals_per_s": 0.999, "service": SECOND}) is False
    # More would be there at once than come in a run.
    many = {"servers": 10**6, "arrivals_per_s": 8e5, "service": SECOND}
    assert is_settled(many) is False
    short = {"requests": 1_600}
    assert is_settled({"arrivals_per_s": 0.8, "service": SECOND}, **short) is False


def test_progress_is_told_up_to_the_end() -> None:
    told: list[tuple[int, int]] = []
    made = hm.queue(arrivals_per_s=0.5, service=1.0)
    made.simulate(seed=1, requests=3_000_000, progress=lambda done, n: told.append((done, n)))
    assert told
    assert told == sorted(told)
    assert {n for _, n in told} == {3_000_000}
    assert told[-1][0] <= 3_000_000


@pytest.mark.timed
def test_a_simulation_stops_within_a_second_of_an_interrupt() -> None:
    code = (
        "import hindmost as hm\n"
        "made = hm.queue(arrivals_per_s=0.5, service=1.0)\n"
        "print('begun', flush=True)\n"
        "made.simulate(seed=1, requests=100_000_000)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(0.5)
    sent_s = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.wait(timeout=5)
    assert time.monotonic() - sent_s < 1.0
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in process.stderr.read()
    process.stdout.close()
    process.stderr.close()


def test_times_of_requests_are_read_only() -> None:
    found = hm.queue(arrivals_per_s=0.5, service=1.0).simulate(seed=1, requests=1_600)
    for name in ("at_s", "wait_s", "response_s", "found", "group"):
        column = found.runs[0][name]
        assert isinstance(column, np.ndarray)
        assert not column.flags.writeable
