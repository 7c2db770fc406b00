"""The page of a stored run, from its file to its text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import hindmost as hm
from benches.gate import gate_of_a_count
from hindmost.analyses.forecast import forecast_beside
from hindmost.report.page import page


def test_a_page_of_a_stored_run_takes_less_than_two_seconds(benchmark: Any, tmp_path: Path) -> None:
    made = hm.simulate("colossus-1", seed=1)
    path = tmp_path / "run.parquet"
    replace(made, forecast=forecast_beside(made)).write(path)
    gate_of_a_count(benchmark, ours=lambda: page(hm.read(path)), count=1, at_least_per_s=0.5)
