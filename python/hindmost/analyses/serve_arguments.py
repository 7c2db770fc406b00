"""Arguments of `serve`, judged together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from hindmost import catalog
from hindmost.arguments import as_float, as_int
from hindmost.errors import Problem, ScenarioError, did_you_mean
from hindmost.queues.trace import read_trace
from hindmost.scenario.serving import (
    MAX_DOMAINS,
    MAX_REQUESTS,
    MAX_TOKENS,
    VARIATIONS,
    Routing,
)
from hindmost.serving.cycle import Load
from hindmost.serving.job import Limits, ServingJob, ServingPool
from hindmost.serving.stream import stream_of

DEFAULTS: dict[str, Any] = {
    "input_tokens": 1000.0,
    "output_tokens": 1000.0,
    "engine": "vllm",
    "dtype": "fp8",
    "prefix_hit": 0.0,
    "wide_domains": 1,
    "variation": 1.0,
    "routing": "least-loaded",
    "percentile": 50.0,
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
        *_name_problems("routing", of["routing"], get_args(Routing)),
        *_number_problems(of),
        *_gpu_problems(of["gpus"]),
    ]
    if of.get("changes"):
        requirement = "must come with a scenario, which they change"
        problems.append(Problem(path="changes", requirement=requirement))
    for key in ("arrivals_per_s", "trace"):
        if of["concurrency"] is not None and of[key] is not None:
            requirement = f"must be absent where {key} is given"
            value = of["concurrency"]
            problems.append(Problem(path="concurrency", requirement=requirement, value=value))
    if given["arrivals_per_s"] is None and given["trace"] is None:
        requirement = "must come with arrivals_per_s or trace: no requests queue without"
        problems += [
            Problem(path=key, requirement=requirement, value=given[key])
            for key in ("variation", "routing", "percentile")
            if given[key] is not None
        ]
    elif given["percentile"] is not None and given["ttft_s"] is None and given["tpot_s"] is None:
        requirement = "must come with ttft_s or tpot_s, which it is a percentile of"
        problems.append(
            Problem(path="percentile", requirement=requirement, value=given["percentile"])
        )
    trace = None
    if of["trace"] is not None:
        requirement = "must be absent where trace is given, which has its own"
        own = ("input_tokens", "output_tokens", "variation")
        problems += [
            Problem(path=key, requirement=requirement, value=given[key])
            for key in own
            if given[key] is not None
        ]
        try:
            trace = read_trace(of["trace"])
        except ScenarioError as error:
            problems += [replace(one, path=_without_table(one.path)) for one in error.problems]
    if problems:
        raise ScenarioError(problems)
    stream = stream_of(
        of["input_tokens"],
        of["output_tokens"],
        variation=of["variation"],
        trace=trace,
        routing=of["routing"],
    )
    if trace is not None and of["arrivals_per_s"] is None:
        of["arrivals_per_s"] = trace.per_s
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
            input_tokens=stream.input_tokens.core.mean(),
            output_tokens=stream.output_tokens.core.mean(),
            prefix_hit=of["prefix_hit"],
            pass_tokens=catalog.engine(of["engine"]).pass_tokens,
        ),
        stream=stream,
        limits=Limits(ttft_s=of["ttft_s"], tpot_s=of["tpot_s"], percentile=of["percentile"]),
        concurrency=of["concurrency"],
        arrivals_per_s=of["arrivals_per_s"],
        wide_domains=int(of["wide_domains"]),
    )


def _number_problems(of: Mapping[str, Any]) -> list[Problem]:
    tokens = f"must be >= 1 and <= {MAX_TOKENS:.0e}"
    domains = f"must be a whole number >= 1 and <= {MAX_DOMAINS}"
    requests = f"must be > 0 and <= {MAX_REQUESTS:.0e}"
    least, most = VARIATIONS
    variations = f"must be 0, or >= {least:g} and <= {most:g}"
    rules: dict[str, tuple[Callable[[float], bool], str]] = {
        "input_tokens": (lambda x: 1 <= x <= MAX_TOKENS, tokens),
        "output_tokens": (lambda x: 1 <= x <= MAX_TOKENS, tokens),
        "ttft_s": (lambda x: 0 < x < math.inf, "must be > 0"),
        "tpot_s": (lambda x: 0 < x < math.inf, "must be > 0"),
        "prefix_hit": (lambda x: 0 <= x < 1, "must be >= 0 and < 1"),
        "concurrency": (lambda x: 0 < x <= MAX_REQUESTS, requests),
        "arrivals_per_s": (lambda x: 0 < x <= MAX_REQUESTS, requests),
        "wide_domains": (lambda x: x in range(1, MAX_DOMAINS + 1), domains),
        "variation": (lambda x: x == 0 or least <= x <= most, variations),
        "percentile": (lambda x: 0 < x < 100, "must be > 0 and < 100"),
    }
    return [
        Problem(path=path, requirement=requirement, value=of[path])
        for path, (is_right, requirement) in rules.items()
        if of[path] is not None and not (_is_number(of[path]) and is_right(of[path]))
    ]


def _without_table(path: str) -> str:
    return path.removeprefix("requests.")


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
