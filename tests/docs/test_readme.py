"""What the README shows works."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hindmost as hm
from tests.docs import markdown
from tests.docs.markdown import blocks
from tests.traced_jobs import Shape, traced_job, wavy_draw

README = markdown.text_of(markdown.README)


def test_the_readme_names_the_two_commands() -> None:
    assert blocks(README, "sh")[0].split("\n")[:2] == ["make demo", "make test"]


def test_the_readmes_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(README, "python")
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    times = names["times"]
    assert getattr(times, "shape", None) == (8, 2048)
    assert hm.read("result.parquet") == names["result"]


def test_the_readmes_scenario_runs(tmp_path: Path) -> None:
    (text,) = blocks(README, "toml")
    path = tmp_path / "readme.toml"
    path.write_text(text, encoding="utf-8")
    result = hm.simulate(path, runs=1, steps=4, seed=0)
    assert 0.2 < result.value("mfu") < 0.6


def commands() -> list[str]:
    lines = blocks(README, "sh")[1].splitlines()
    return [line.partition("#")[0].strip() for line in lines]


@pytest.fixture(scope="module")
def my_cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the scenario that `hindmost init` writes, which other commands read."""
    path = tmp_path_factory.mktemp("init") / "my-cluster.toml"
    call = [sys.executable, "-m", "hindmost", "init", str(path)]
    subprocess.run(call, check=True, capture_output=True)
    return path


@pytest.fixture(scope="module")
def a_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a log of steps, which other commands read."""
    path = tmp_path_factory.mktemp("log") / "steps.csv"
    hm.simulate("h100-1k", seed=1, runs=1, steps=600).write(path)
    return path


@pytest.mark.parametrize("command", commands())
def test_the_readmes_commands_run(
    command: str, my_cluster: Path, a_log: Path, tmp_path: Path
) -> None:
    if "hindmost init" not in command:
        shutil.copy(my_cluster, tmp_path)
    if "steps.csv" in command:
        shutil.copy(a_log, tmp_path)
        # What an earlier line of the README fits to it.
        (tmp_path / "fitted.toml").write_text('extends = ["h100-1k"]\n', encoding="utf-8")
    if "trace.parquet" in command:
        traced_job(Shape(), wavy_draw()).write_parquet(tmp_path / "trace.parquet")
    is_sized = any(f"hindmost {name}" in command for name in ("run", "attribute", "explain"))
    runs = "" if "--precision" in command else " --runs 2"
    quick = f"{runs} --steps 8" if is_sized else ""
    command = command.replace("hindmost", f"{sys.executable} -m hindmost", 1) + quick
    done = subprocess.run(command, cwd=tmp_path, shell=True, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
