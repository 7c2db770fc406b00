"""Whole processes: how soon they start and how much memory they take."""

from __future__ import annotations

import os
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


def test_help_starts_soon(benchmark: Any, fresh: Callable[..., None]) -> None:
    gate(
        benchmark,
        ours=lambda: fresh("-m", "hindmost", "--help"),
        theirs=lambda: fresh("-c", "import click"),
        at_least=1 / 3,
    )


def test_a_run_of_colossus_1_ends_soon(benchmark: Any, fresh: Callable[..., None]) -> None:
    gate(
        benchmark,
        ours=lambda: fresh("-m", "hindmost", "run", str(COLOSSUS_1_BARE)),
        theirs=lambda: fresh("-c", "import click"),
        at_least=1 / 15,
    )


MAX_RESIDENT_BYTES = 400e6
MAX_BYTES_PER_ROW = 200


def resident_bytes(n_steps: int, scenario: str, method: str) -> int:
    """Return the most memory that eight runs of a scenario hold at once."""
    command = [sys.executable, "-m", "hindmost", "run", scenario, "--method", method]
    command += ["--seed", "1", "--runs", "8"]
    process = subprocess.Popen([*command, "--steps", str(n_steps)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    # os.wait4 has waited for it, as only that tells its memory.
    process.returncode = status
    assert status == 0
    return usage.ru_maxrss * 1024


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
