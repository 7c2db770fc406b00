"""Simulated queues against closed forms.

Standard errors are from the runs themselves; seeds and limits were fixed before the first run.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import hindmost as hm

SEED = 20_261_130
SECOND = {"name": "exponential", "mean": 1.0}
PASS: dict[str, Any] = {"discipline": "batch", "a_s": 20e-3, "b_s": 0.2e-3}


def lognormal(mean: float, sigma: float) -> dict[str, Any]:
    return {"name": "lognormal", "median": mean * math.exp(-(sigma**2) / 2), "sigma": sigma}


QUEUES: dict[str, dict[str, Any]] = {
    "M/M/10": {"servers": 10, "arrivals_per_s": 8, "service": SECOND},
    "M/M/3, nearly idle": {"servers": 3, "arrivals_per_s": 0.3, "service": SECOND},
    "M/D/1": {"arrivals_per_s": 0.8, "service": 1.0},
    "M/G/1": {"arrivals_per_s": 0.6, "service": lognormal(1.0, 0.8)},
    "GI/M/1, bursts": {"arrivals_per_s": 0.6, "service": SECOND, "variation": 2.0},
    "GI/M/1, even": {"arrivals_per_s": 0.8, "service": SECOND, "variation": 0.4},
    "D/M/1": {"arrivals_per_s": 0.8, "service": SECOND, "variation": 0},
    "PS, equal": {"arrivals_per_s": 0.8, "service": 1.0, "discipline": "ps"},
    "PS, any law": {"arrivals_per_s": 0.7, "service": lognormal(1.0, 1.0), "discipline": "ps"},
    "batches of equal answers": {"arrivals_per_s": 12, "service": 200, **PASS},
    "batches of any": {"arrivals_per_s": 12, "service": lognormal(200, 1.0), **PASS},
    "batches, half as many": {"arrivals_per_s": 6, "service": lognormal(200, 0.5), **PASS},
    "batches with a cap": {
        "arrivals_per_s": 9,
        "service": {"name": "exponential", "mean": 200.0},
        "cap": 64,
        **PASS,
    },
    "batches with a small cap": {
        "arrivals_per_s": 0.2,
        "service": {"name": "exponential", "mean": 200.0},
        "cap": 2,
        "discipline": "batch",
        "a_s": 20e-3,
        "b_s": 5e-3,
    },
}


@pytest.mark.parametrize("name", QUEUES)
def test_simulated_queues_are_within_four_errors_of_closed_forms(name: str) -> None:
    made = hm.queue(**QUEUES[name])
    exact = made.exact
    assert exact is not None
    found = made.simulate(seed=SEED, requests=4_000_000)
    compared = 0
    for one in found.estimates:
        key = one.metric if one.statistic == "mean" else f"{one.metric}.{one.statistic}"
        if key in exact:
            assert one.std_error is not None
            # What has a probability of less than one request's was seen by none.
            limit = 4 * one.std_error + 1e-6
            assert abs(one.value - exact[key]) <= limit, (key, one, exact[key])
            compared += 1
    assert compared >= 4


@pytest.mark.parametrize("name", [name for name in QUEUES if "batches" in name])
def test_seconds_of_a_token_are_within_a_percent(name: str) -> None:
    made = hm.queue(**QUEUES[name])
    exact = made.exact
    assert exact is not None
    found = made.simulate(seed=SEED + 1, requests=4_000_000)
    assert found.value("s_per_token") == pytest.approx(exact["s_per_token"], rel=0.01)


def test_errors_are_as_large_as_runs_scatter() -> None:
    """Of 60 seeds the distance from the closed form over the error is a standard normal."""
    for name in ("M/M/10", "batches with a cap"):
        made = hm.queue(**QUEUES[name])
        exact = made.exact
        assert exact is not None
        scores: dict[str, list[float]] = {"wait_s": [], "response_s": [], "number": []}
        for seed in range(60):
            found = made.simulate(seed=seed, requests=320_000)
            for metric, into in scores.items():
                error = found.std_error(metric)
                assert error is not None
                into.append((found.value(metric) - exact[metric]) / error)
        for metric, each in scores.items():
            # Of Student's law with 15 degrees of freedom the standard deviation is 1.07; 60 of
            # them have their mean within 4 x 0.14 and their standard deviation within 4 x 0.11.
            assert abs(np.mean(each)) < 0.56, (name, metric, np.mean(each))
            assert 0.63 < np.std(each) < 1.51, (name, metric, np.std(each))


def test_the_number_in_a_batch_is_negative_binomial() -> None:
    a_s, b_s, per_s, tokens = 20e-3, 0.2e-3, 12.0, 200.0
    made = hm.queue(arrivals_per_s=per_s, service=lognormal(tokens, 1.0), **PASS)
    requests = made.simulate(seed=SEED, requests=2_000_000).requests
    found = requests["found"].to_numpy()
    r, p = 1 + a_s / b_s, per_s * tokens * b_s
    numbers = np.arange(400)
    logs = [
        math.lgamma(n + r) - math.lgamma(r) - math.lgamma(n + 1) + n * math.log(p) for n in numbers
    ]
    law = np.exp(np.array(logs) + r * math.log1p(-p))
    assert law.sum() == pytest.approx(1.0, abs=1e-12)
    # Those who come see what there is on average (PASTA). Neighbours see nearly the same, so
    # that there are far fewer independent ones: one in a stay of all, 8 s.
    share = np.bincount(found, minlength=400)[:400] / len(found)
    distance = np.abs(np.cumsum(share) - np.cumsum(law)).max()
    assert distance < 1.95 / math.sqrt(len(found) / (per_s * 8))


def test_the_number_in_the_system_keeps_to_littles_law() -> None:
    made = hm.queue(
        arrivals_per_s=20, service=lognormal(200, 1), servers=4, cap=32, variation=3, **PASS
    )
    found = made.simulate(seed=SEED, requests=1_000_000)
    product = found.value("requests_per_s") * found.value("response_s")
    # Up to those who are inside at both ends.
    assert found.value("number") == pytest.approx(product, rel=5e-3)


def test_a_full_server_takes_what_its_capacity_says() -> None:
    """Nearly as many requests come as can be served: the batch is full nearly always."""
    made = hm.queue(arrivals_per_s=8.1, service=200, cap=128, prefill_s=50e-3, **PASS)
    assert made.capacity_per_s == pytest.approx(8.2474227, abs=5e-8)
    found = made.simulate(seed=SEED, requests=400_000, runs=4)
    assert found.value("requests_per_s") == pytest.approx(8.1, rel=0.02)
    # Far more come: the server gives its capacity.
    table = made.model_copy(update={"arrivals_per_s": 16.0})
    beyond = table.simulate(seed=SEED, requests=40_000, runs=4)
    for run in beyond.runs:
        leaves_s = np.sort(run["at_s"] + run["response_s"])[2_000:-2_000]
        rate = (len(leaves_s) - 1) / (leaves_s[-1] - leaves_s[0])
        assert rate == pytest.approx(made.capacity_per_s, rel=0.01)
