"""Sweeps: points a second, and the memory that each of them takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import hindmost as hm
from benches.gate import gate_of_a_count

SEED = 20_261_201
N = 100
POINTS_PER_S = 50.0
"""A thousand points in 20 s on two cores."""
MOST_BYTES = 2_000
"""Bytes that a point more takes, at most."""


def test_a_thousand_points_take_twenty_seconds(benchmark: Any) -> None:
    """Of `colossus-1`, 8 runs of 1,000 steps each with 30 days of whole runs, on two threads."""
    low, high = 0.4, 1.0
    efficiencies = [low + (high - low) * place / N for place in range(N)]
    points = hm.grid({"pools.gb200.software_efficiency": efficiencies})
    gate_of_a_count(
        benchmark,
        ours=lambda: hm.sweep(points, "colossus-1", seed=SEED, runs=8, steps=1_000, threads=2),
        count=N,
        at_least_per_s=POINTS_PER_S,
    )


N_LAYOUTS = 1_255
LAYOUTS_PER_S = 200.0
"""Five milliseconds each."""


def test_a_layout_is_ranked_in_five_milliseconds(benchmark: Any) -> None:
    """All of `h100-1k`, refused ones among them."""

    def ranked() -> None:
        found = hm.layouts("h100-1k", best=0, seed=SEED)
        assert found.frame.height + found.n_refused == N_LAYOUTS

    gate_of_a_count(benchmark, ours=ranked, count=N_LAYOUTS, at_least_per_s=LAYOUTS_PER_S)


# The memory of a process counts from its fork on, when it is still that of its parent: so a small
# process starts the one to be measured.
MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


SWEPT = """
import sys
import hindmost as hm
n, folder = int(sys.argv[1]), sys.argv[2]
points = hm.grid({"pools.h100.software_efficiency": [0.5 + 0.5 * k / n for k in range(n)]})
frame = hm.sweep(points, "h100-1k", store=folder, seed=1, runs=1, steps=1)
assert frame.height == frame["error"].null_count() == n
"""


def most_bytes(n_points: int, folder: Path) -> int:
    """Return the most memory that a sweep of so many points holds at once."""
    command = [sys.executable, "-c", SWEPT, str(n_points), str(folder)]
    measured = [sys.executable, "-c", MEASURED, *command]
    found = subprocess.run(measured, check=True, capture_output=True, text=True)
    return int(found.stdout) * 1024


def test_a_point_more_takes_less_than_two_kilobytes(benchmark: Any, tmp_path: Path) -> None:
    """Five thousand points against one thousand, kept in a folder, with their frame."""
    few = most_bytes(1_000, tmp_path / "few")
    many = benchmark.pedantic(most_bytes, args=(5_000, tmp_path / "many"), rounds=1)
    benchmark.extra_info["bytes_a_point"] = round((many - few) / 4_000)
    assert many - few < 4_000 * MOST_BYTES
