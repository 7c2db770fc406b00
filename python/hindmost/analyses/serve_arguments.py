"""Arguments of `serve`, judged together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hindmost import catalog
from hindmost.arguments import as_float, as_int
from hindmost.errors import Problem, ScenarioError, did_you_mean
from hindmost.scenario.serving import MAX_DOMAINS, MAX_REQUESTS, MAX_TOKENS
from hindmost.serving.cycle import Load
from hindmost.serving.job import Limits, ServingJob, ServingPool

DEFAULTS: dict[str, Any] = {
    "input_tokens": 1000.0,
    "output_tokens": 1000.0,
    "engine": "vllm",
    "dtype": "fp8",
    "prefix_hit": 0.0,
    "wide_domains": 1,
}
"""What holds where nothing is given."""
DTYPES = ("bf16", "fp8", "fp4")
MAX_GPUS = 2**31
"""GPUs of a type stay below it."""


def job_of(given: Mapping[str, Any]) -> ServingJob:
    """Return the job of the arguments of `serve`, None for what is not given.

    Raises
    ------
    ScenarioError
        With every problem.
    """
    of: dict[str, Any] = {
        key: DEFAULTS.get(key) if value is None else as_float(value) for key, value in given.items()
    }
    problems = [
        *_name_problems("model", of["model"], [*catalog.names("models"), *catalog.ALIASES]),
        *_name_problems("engine", of["engine"], catalog.names("engines")),
        *_name_problems("dtype", of["dtype"], DTYPES),
        *_number_problems(of),
        *_gpu_problems(of["gpus"]),
    ]
    if of.get("changes"):
        requirement = "must come with a scenario, which they change"
        problems.append(Problem(path="changes", requirement=requirement))
    if of["concurrency"] is not None and of["arrivals_per_s"] is not None:
        requirement = "must be absent where arrivals_per_s is given"
        problems.append(
            Problem(path="concurrency", requirement=requirement, value=of["concurrency"])
        )
    if problems:
        raise ScenarioError(problems)
    return ServingJob(
        model_name=of["model"],
        model=catalog.model(of["model"]),
        dtype=of["dtype"],
        engine=of["engine"],
        pools=tuple(
            ServingPool(name=name, gpu=name, accelerator=catalog.gpu(name), n_gpus=as_int(n_gpus))
            for name, n_gpus in of["gpus"].items()
        ),
        load=Load(
            input_tokens=of["input_tokens"],
            output_tokens=of["output_tokens"],
            prefix_hit=of["prefix_hit"],
            pass_tokens=catalog.engine(of["engine"]).pass_tokens,
        ),
        limits=Limits(ttft_s=of["ttft_s"], tpot_s=of["tpot_s"]),
        concurrency=of["concurrency"],
        arrivals_per_s=of["arrivals_per_s"],
        wide_domains=int(of["wide_domains"]),
    )


def _number_problems(of: Mapping[str, Any]) -> list[Problem]:
    tokens = f"must be >= 1 and <= {MAX_TOKENS:.0e}"
    domains = f"must be a whole number >= 1 and <= {MAX_DOMAINS}"
    requests = f"must be > 0 and <= {MAX_REQUESTS:.0e}"
    rules: dict[str, tuple[Callable[[float], bool], str]] = {
        "input_tokens": (lambda x: 1 <= x <= MAX_TOKENS, tokens),
        "output_tokens": (lambda x: 1 <= x <= MAX_TOKENS, tokens),
        "ttft_s": (lambda x: 0 < x < math.inf, "must be > 0"),
        "tpot_s": (lambda x: 0 < x < math.inf, "must be > 0"),
        "prefix_hit": (lambda x: 0 <= x < 1, "must be >= 0 and < 1"),
        "concurrency": (lambda x: 0 < x <= MAX_REQUESTS, requests),
        "arrivals_per_s": (lambda x: 0 < x <= MAX_REQUESTS, requests),
        "wide_domains": (lambda x: x in range(1, MAX_DOMAINS + 1), domains),
    }
    return [
        Problem(path=path, requirement=requirement, value=of[path])
        for path, (is_right, requirement) in rules.items()
        if of[path] is not None and not (_is_number(of[path]) and is_right(of[path]))
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _gpu_problems(gpus: Any) -> list[Problem]:
    if not isinstance(gpus, Mapping) or not gpus:
        requirement = "must say how many there are of each type, such as {'h200-sxm': 64}"
        return [Problem(path="gpus", requirement=requirement)]
    problems = []
    for name, n_gpus in gpus.items():
        problems += _name_problems("gpus", name, catalog.names("gpus"))
        n_gpus = as_int(n_gpus)
        is_count = isinstance(n_gpus, int) and not isinstance(n_gpus, bool)
        if not (is_count and 1 <= n_gpus < MAX_GPUS):
            requirement = f"must be a whole number >= 1 and < {MAX_GPUS}"
            problems.append(Problem(path=f"gpus.{name}", requirement=requirement, value=n_gpus))
    return problems


def _name_problems(path: str, name: Any, known: Sequence[str]) -> list[Problem]:
    if name is None:
        return [Problem(path=path, requirement="is missing")]
    if isinstance(name, str) and name in known:
        return []
    hint = did_you_mean(name, known) if isinstance(name, str) else ""
    few = f"must be one of {', '.join(known)}"
    requirement = few if len(known) < 8 else "must be one of the catalogue's"
    return [Problem(path=path, requirement=requirement, value=name, hint=hint)]
