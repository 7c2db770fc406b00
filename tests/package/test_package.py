"""The wheel and the source distribution install and run by themselves."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


TARGET = {"CARGO_TARGET_DIR": str(ROOT / "target")}
"""Where builds of unpacked sources find the dependencies that are compiled already."""


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a source distribution, and a wheel from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "maturin", "build", "--release", "--locked", "--sdist"]
    subprocess.run(
        [*command, "--out", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        env={**os.environ, **TARGET},
    )
    return folder


def fresh_environment(folder: Path, package: Path) -> Path:
    """Install a package file alone into a new environment and return its command."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    install = [*pip, "--disable-pip-version-check", str(package)]
    subprocess.run(install, check=True, cwd=folder, env={**os.environ, **TARGET})
    return folder / "bin" / "hindmost"


def check(command: Path, folder: Path) -> None:
    call = [str(command), "run", "h100-1k", "--steps", "4", "--runs", "2", "--format", "csv"]
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("metric,statistic,value,std_error\nstep_time_s,mean,")


def test_one_abi3_wheel_runs_in_an_empty_environment(dist: Path, tmp_path: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    assert "-cp311-abi3-" in wheel.name
    check(fresh_environment(tmp_path / "env", wheel), tmp_path)


def test_the_wheel_holds_the_catalogue_and_no_checkout(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "hindmost/catalog/presets/colossus-1.toml" in names
    assert "hindmost/scenario/template.toml" in names
    assert "hindmost/py.typed" in names
    assert any(name.endswith("/LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "benches/")) for name in names)


def test_the_source_distribution_runs_outside_of_the_checkout(dist: Path, tmp_path: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
    assert any(name.endswith("/Cargo.lock") for name in names)
    check(fresh_environment(tmp_path / "env", sdist), tmp_path)
