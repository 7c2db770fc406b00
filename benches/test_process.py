"""Whole processes: how soon they start and how much memory they take."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.scenarios import COLOSSUS_1_BARE

from benches.gate import gate


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what runs Python in a fresh process, with both sides compiled as if installed."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path))

    def run(*words: str) -> None:
        subprocess.run([sys.executable, *words], check=True, capture_output=True)

    return run


# Both sides of a gate take as long, so that what slows a machine for a moment meets both alike.


def imports_of_click(fresh: Callable[..., None], n: int) -> None:
    for _ in range(n):
        fresh("-c", "import click")


def test_help_starts_in_the_time_of_three_imports_of_click(
    benchmark: Any, fresh: Callable[..., None]
) -> None:
    gate(
        benchmark,
        ours=lambda: fresh("-m", "hindmost", "--help"),
        theirs=lambda: imports_of_click(fresh, 3),
        at_least=1.0,
    )


def test_a_run_at_values_of_colossus_1_ends_in_the_time_of_fifteen_imports_of_click(
    benchmark: Any, fresh: Callable[..., None]
) -> None:
    # What a forecast adds to it is held by the benchmark of forecasts.
    gate(
        benchmark,
        ours=lambda: fresh("-m", "hindmost", "run", str(COLOSSUS_1_BARE), "--at-values"),
        theirs=lambda: imports_of_click(fresh, 15),
        at_least=1.0,
    )


def test_a_precise_run_of_16384_gpus_ends_in_the_time_of_ten_imports_of_click(
    benchmark: Any, fresh: Callable[..., None]
) -> None:
    # Of 16 stages, so that every rank is drawn.
    run = ("run", "llama3-405b-16384", "--at-values", "--precision", "1e-3")
    gate(
        benchmark,
        ours=lambda: fresh("-m", "hindmost", *run),
        theirs=lambda: imports_of_click(fresh, 10),
        at_least=1.0,
    )


MAX_RESIDENT_BYTES = 400e6
MAX_BYTES_PER_ROW = 200


# The memory of a process counts from its fork on, when it is still that of its parent: so a small
# process starts the one to be measured.
MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def resident_bytes(n_steps: int, scenario: str, method: str) -> int:
    """Return the most memory that eight runs of a scenario hold at once."""
    command = [sys.executable, "-m", "hindmost", "run", scenario, "--method", method]
    command += ["--seed", "1", "--runs", "8", "--steps", str(n_steps)]
    measured = [sys.executable, "-c", MEASURED, *command]
    found = subprocess.run(measured, check=True, stdout=subprocess.PIPE, text=True)
    return int(found.stdout) * 1024


@pytest.mark.parametrize(
    ("scenario", "method"), [("h100-1k", "sample"), (str(COLOSSUS_1_BARE), "order-statistics")]
)
def test_a_million_steps_fit_into_memory(benchmark: Any, scenario: str, method: str) -> None:
    """Eight runs of 125,000 steps, a million rows, and at most as many bytes as they need."""
    few = resident_bytes(1_000, scenario, method)
    held = benchmark.pedantic(resident_bytes, args=(125_000, scenario, method), rounds=1)
    benchmark.extra_info["resident_mb"] = round(held / 1e6)
    assert held < MAX_RESIDENT_BYTES
    # Memory grows by the rows, and by what they are while they are sorted.
    assert held - few < MAX_BYTES_PER_ROW * 8 * (125_000 - 1_000)
