"""Which tool a log is of, told by a few of its lines."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

import hindmost as hm

MEGATRON = (
    " iteration       {0}/ 100 | elapsed time per iteration (ms): 5000.0 | loss scale: 1.0 |\n"
)
TITAN = (
    "[titan] 2026-01-02 03:04:0{0},000 - root - INFO - step:  {0}  loss: 5.0  tps: 1,000  mfu: 1%\n"
)
NEMO = "Training epoch 0, iteration {0}/99 | global_step: {0} | train_step_timing in s: 5.1\n"
MAXTEXT = "completed step: {0}, seconds: 2.000, TFLOP/s/device: 100.000, loss: 5.000\n"
MLPERF = ':::MLLOG {{"time_ms": {0}000, "key": "tracked_stats", "value": {{"train_step_time": 1.0}}, "metadata": {{"step": {0}}}}}\n'  # noqa: E501
GOODPUT = '{{"job_name": "a", "step_count": {0}, "step_start_time": {0}.5}}\n'
RESILIENCY = "local_section_summaries={{'a': {{Statistic.AVG: 5.0, Statistic.NUM: {0}}}}}, local_kernel_summaries={{}}, rank={0})\n"  # noqa: E501
NCCL = "#  size  count  type  redop  root  time  algbw  busbw  #wrong  time  algbw  busbw  #wrong\n"
LOGS = {
    "megatron": "".join(MEGATRON.format(n) for n in range(1, 9)),
    "torchtitan": "".join(TITAN.format(n) for n in range(1, 9)),
    "nemo": "".join(NEMO.format(n) for n in range(1, 9)),
    "maxtext": "".join(MAXTEXT.format(n) for n in range(1, 9)),
    "mlperf": "".join(MLPERF.format(n) for n in range(1, 9)),
    "goodput": "".join(GOODPUT.format(n) for n in range(1, 9)),
    "resiliency": "".join(RESILIENCY.format(n) for n in range(1, 9)),
    "nccl-tests": NCCL + "1024 256 float sum -1 10.0 0.1 0.1 0 10.0 0.1 0.1 0\n",
    "table": "step,seconds\n1,5.0\n2,5.1\n",
}


@pytest.mark.parametrize("tool", LOGS)
def test_a_log_is_told_by_its_content(tmp_path: Path, tool: str) -> None:
    path = tmp_path / "table.csv.json"
    path.write_text("a line of a launcher\n" * (tool not in ("table",)) + LOGS[tool])
    assert hm.read_log(path)["source"].unique().to_list() == [tool]


@pytest.mark.parametrize("tool", LOGS)
def test_logs_of_two_tools_are_refused_together(tmp_path: Path, tool: str) -> None:
    other = "table" if tool != "table" else "maxtext"
    for name in (tool, other):
        (tmp_path / name).write_text(LOGS[name])
    with pytest.raises(hm.ScenarioError, match="must hold logs of one tool, not of"):
        hm.read_log(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"Setting up is done with setup.py; the iteration goes on at each step: 1\n",
        json.dumps({"version": 1, "step": 3}).encode(),
        b"\x7fELF\x02\x01\x01\x00" + bytes(range(256)) * 9,
        gzip.compress(b"nothing of interest\n" * 1000),
        b"\n" * 1000,
    ],
)
def test_a_file_of_no_tool_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    with pytest.raises(hm.ScenarioError, match="nothing in it is recognised"):
        hm.read_log(path)


@pytest.mark.parametrize("tool", [tool for tool in LOGS if tool != "table"])
def test_progress_ends_at_the_size_of_the_file(tmp_path: Path, tool: str) -> None:
    told: list[tuple[int, int]] = []
    path = tmp_path / "log"
    path.write_text(LOGS[tool])
    hm.read_log(path, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (path.stat().st_size, path.stat().st_size)
