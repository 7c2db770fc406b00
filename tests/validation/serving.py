"""Predictions of measured serving points: fitted on H200 alone, and held against all others."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

import hindmost as hm
from hindmost.catalog import Software
from hindmost.serving.cycle import cycle, rates
from hindmost.serving.fit import MEASURED, ServingFit
from hindmost.serving.rows import row_of
from tests.validation.families import DATA

FITTED_ON = "h200-sxm"

TITLES = {
    ("llama3-70b", "vllm"): "Llama 3.3 70B, vLLM",
    ("deepseek-r1", "sglang"): "DeepSeek-R1, SGLang",
    ("llama-3.3-70b", "trtllm"): "Llama 3.3 70B, TensorRT-LLM, maximum load",
    ("qwen3-235b-a22b", "trtllm"): "Qwen3 235B, TensorRT-LLM, maximum load",
    ("gpt-oss-20b", "trtllm"): "gpt-oss 20B, TensorRT-LLM, maximum load",
    ("llama-4-maverick", "trtllm"): "Llama 4 Maverick, TensorRT-LLM, maximum load",
}
"""Models and engines that are predicted, by their names in the rows."""

LIMITS: dict[tuple[str, str, str, str], tuple[float, float | None]] = {
    ("llama3-70b", "vllm", "h100-sxm", "fp8"): (0.08, 0.18),
    ("llama3-70b", "vllm", "b200-sxm", "fp8"): (0.08, 0.18),
    ("llama3-70b", "vllm", "b200-sxm", "fp4"): (0.15, None),
    ("deepseek-r1", "sglang", "b200-sxm", "fp8"): (0.15, None),
    ("deepseek-r1", "sglang", "b200-sxm", "fp4"): (0.15, None),
    ("deepseek-r1", "sglang", "b300-sxm", "fp8"): (0.15, None),
    ("deepseek-r1", "sglang", "b300-sxm", "fp4"): (0.15, None),
    ("deepseek-r1", "sglang", "mi355x", "fp8"): (0.30, None),
    ("deepseek-r1", "sglang", "mi355x", "fp4"): (0.30, None),
    ("llama-3.3-70b", "trtllm", "h100-sxm", "fp8"): (0.15, None),
    ("llama-3.3-70b", "trtllm", "b200-sxm", "fp4"): (0.15, None),
    ("llama-3.3-70b", "trtllm", "gb200-nvl72", "fp4"): (0.15, None),
    ("qwen3-235b-a22b", "trtllm", "h100-sxm", "fp8"): (0.15, None),
    ("qwen3-235b-a22b", "trtllm", "b200-sxm", "fp4"): (0.15, None),
    ("qwen3-235b-a22b", "trtllm", "gb200-nvl72", "fp4"): (0.15, None),
}
"""Greatest median and 90th percentile of the absolute error; others are shown and not judged."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Errors of the predictions of one model, engine, GPU and format.

    Attributes
    ----------
    names : tuple of str
        Model, engine, GPU and format, as rows call them.
    errors : array
        Predicted over measured tokens a second, minus 1.
    ttft_errors, tpot_errors : array
        The same of seconds, of rows that have them.
    """

    names: tuple[str, str, str, str]
    errors: NDArray[np.float64]
    ttft_errors: NDArray[np.float64]
    tpot_errors: NDArray[np.float64]

    @property
    def median(self) -> float:
        """Median of the absolute errors."""
        return float(np.median(np.abs(self.errors)))

    @property
    def p90(self) -> float:
        """Their 90th percentile."""
        return float(np.quantile(np.abs(self.errors), 0.9))

    @property
    def bias(self) -> float:
        """Median of the errors with their signs."""
        return float(np.median(self.errors))


@cache
def rows() -> list[dict[str, str]]:
    """Return the measured rows."""
    with (DATA / "serving_measured.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@cache
def fitted() -> ServingFit:
    """Return the fit of all rows of H200."""
    return hm.fit_serving(rows(), gpu=FITTED_ON)


@cache
def scored() -> dict[tuple[str, str, str, str], Scored]:
    """Return the errors of all rows that can be predicted, by what they are of."""
    found: dict[tuple[str, str, str, str], list[tuple[float, float | None, float | None]]] = {}
    for row, one in zip(rows(), fitted().predict(rows()).iter_rows(named=True), strict=True):
        if one["reason"] is not None:
            continue
        key = row["model"], row["engine"], row["gpu"], row["precision"]
        found.setdefault(key, []).append(
            (
                one[MEASURED] / float(row[MEASURED]) - 1,
                _error(one["ttft_s"], row["ttft_ms"]),
                _error(one["tpot_s"], row["tpot_ms"]),
            )
        )
    return {
        key: Scored(
            names=key,
            errors=np.array([each[0] for each in errors]),
            ttft_errors=np.array([each[1] for each in errors if each[1] is not None]),
            tpot_errors=np.array([each[2] for each in errors if each[2] is not None]),
        )
        for key, errors in found.items()
    }


def _error(seconds: float, measured_ms: str) -> float | None:
    return seconds * 1e3 / float(measured_ms) - 1 if measured_ms else None


def factor_alone(model: str, engine: str, gpu: str) -> NDArray[np.float64]:
    """Return the errors on a GPU with a factor alone, fitted without any latency."""

    def of(gpu: str) -> list[dict[str, str]]:
        names = {"model": model, "engine": engine, "gpu": gpu, "precision": "fp8"}
        return [row for row in rows() if all(row[key] == name for key, name in names.items())]

    def errors(table: list[dict[str, str]], factor: float) -> NDArray[np.float64]:
        software = Software(factor=factor, layer_s=0.0, token_s=0.0)
        return np.array([_rate(row, software) / float(row[MEASURED]) - 1 for row in table])

    factors = np.geomspace(0.5, 4.0, 150)
    fits = of(FITTED_ON)

    def squares(factor: float) -> float:
        # Of the relative error of a cycle's seconds, which is what a fit makes least.
        return float(np.sum((1 / (1 + errors(fits, factor)) - 1) ** 2))

    best = min(factors, key=squares)
    return errors(of(gpu), float(best))


def _rate(table: dict[str, str], software: Software) -> float:
    row = row_of(table)
    of = cycle(row.replica, row.load, np.array([row.batch]))
    return float(rates(of, row.load, software).output_tokens_per_s_per_gpu[0])


def pairs(gpu: str) -> NDArray[np.float64]:
    """Return the errors of the ratio of a GPU to H200, of rows that have equal configurations."""
    keys = ("tensor", "isl", "osl", "concurrency")
    measured: dict[str, dict[tuple[str, ...], float]] = {gpu: {}, FITTED_ON: {}}
    predicted: dict[str, dict[tuple[str, ...], float]] = {gpu: {}, FITTED_ON: {}}
    table = [
        row
        for row in rows()
        if row["engine"] == "vllm" and row["precision"] == "fp8" and row["gpu"] in measured
    ]
    for row, one in zip(table, fitted().predict(table)[MEASURED], strict=True):
        key = tuple(row[name] for name in keys)
        measured[row["gpu"]][key] = float(row[MEASURED])
        predicted[row["gpu"]][key] = one
    both = measured[gpu].keys() & measured[FITTED_ON].keys()
    return np.array(
        [
            predicted[gpu][key]
            / predicted[FITTED_ON][key]
            / (measured[gpu][key] / measured[FITTED_ON][key])
            - 1
            for key in sorted(both)
        ]
    )


def table() -> str:
    """Return the table of docs/serving.md."""
    lines = [
        "| rows | GPU | format | rows | median | 90th percentile | bias | limit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (model, engine), title in TITLES.items():
        for names, one in sorted(scored().items()):
            if names[:2] == (model, engine):
                limit = LIMITS.get(names)
                lines.append(
                    f"| {title} | {names[2]} | {names[3]} | {len(one.errors)} | "
                    f"{one.median:.1%} | {one.p90:.0%} | {one.bias:+.0%} | {_shown(names, limit)} |"
                )
    return "\n".join(lines) + "\n"


def _shown(names: tuple[str, ...], limit: tuple[float, float | None] | None) -> str:
    if names[2] == FITTED_ON:
        return "fitted"
    if limit is None:
        return "shown"
    median, p90 = limit
    return f"{median:.0%}" if p90 is None else f"{median:.0%}, {p90:.0%}"
