"""What pages on reproducibility, sweeps, logs and what-if show works, each block as a script."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hindmost as hm
from hindmost import store
from tests.docs.markdown import ROOT, blocks, text_of

PAGE = text_of(ROOT / "docs" / "reproducibility.md")
SWEEPS = text_of(ROOT / "docs" / "sweeps.md")
LOGS = text_of(ROOT / "docs" / "logs.md")
WHAT_IF = text_of(ROOT / "docs" / "what-if.md")
SCRIPTS = [code for page in (PAGE, SWEEPS, LOGS, WHAT_IF) for code in blocks(page, "python")]


@pytest.mark.parametrize("code", SCRIPTS)
def test_a_script_runs(code: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(code)
    command = [sys.executable, "-W", "error", "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_job_of_an_array_takes_its_part(tmp_path: Path) -> None:
    [script] = blocks(SWEEPS, "sh")
    environment = {**os.environ, "SLURM_ARRAY_TASK_ID": "3"}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(
        ["sh", "-ec", script], cwd=tmp_path, env={**environment, "PATH": path}, check=True
    )
    assert len(list((tmp_path / "points").glob("*.json"))) == 7


def test_the_keys_of_the_metadata_are_named() -> None:
    table = PAGE.partition("three keys:")[2].partition("\n\nA file")[0]
    named = re.findall(r"^\| `([a-z.]+)` \|", table, flags=re.MULTILINE)
    assert named == [store.DOCUMENT_KEY, store.REST_KEY, store.DIGEST_KEY]


def test_values_and_documents_do_without_polars() -> None:
    code = (
        "import sys, hindmost as hm; "
        "result = hm.simulate('h100-1k', seed=1, runs=2, steps=3); "
        "result.value('mfu'), result.document(); "
        "assert 'polars' not in sys.modules; "
        "result.steps; assert 'polars' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert hm.simulate("h100-1k", seed=1, runs=2, steps=3).document()["summary"]
