"""Shared by all benchmarks: instruction sets to force, and a table of ratios."""

from __future__ import annotations

from typing import Any

import pytest

from hindmost import _core
from hindmost.compiled import INSTRUCTIONS_VARIABLE

SETS = _core.instruction_sets()


@pytest.fixture(params=SETS)
def instructions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Force each instruction set that this processor has."""
    name: str = request.param
    monkeypatch.setenv(INSTRUCTIONS_VARIABLE, name)
    return name


def pytest_terminal_summary(terminalreporter: Any, config: Any) -> None:
    """Print the ratio and the bar of every gate."""
    session = getattr(config, "_benchmarksession", None)
    for bench in getattr(session, "benchmarks", []):
        if "resident_mb" in bench.extra_info:
            terminalreporter.section(f"{bench.name}: {bench.extra_info['resident_mb']} MB")
    gates = [bench for bench in getattr(session, "benchmarks", []) if "bar" in bench.extra_info]
    if not gates:
        return
    terminalreporter.section(
        "gates: our rate over theirs, or over a stated rate x the share of its full speed of a core"
    )
    for bench in gates:
        ratio, bar = bench.extra_info["ratio"], bench.extra_info["bar"]
        of = ""
        if "per_s" in bench.extra_info:
            of = f" of {bench.extra_info['per_s']:.2g}/s x {bench.extra_info['share']:.2f}"
        terminalreporter.write_line(f"{ratio:8.2f}x  bar {bar:6.2f}x{of}  {bench.name}")
