"""The catalogue: every entry is whole, and a new one is one file."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

import hindmost as hm
from hindmost import catalog
from hindmost.catalog import Gpu
from hindmost.scenario import bases

PACKAGE = Path(hm.__file__).parent


@pytest.mark.parametrize("name", catalog.names("gpus"))
def test_a_gpu_is_whole(name: str) -> None:
    gpu = catalog.gpu(name)
    assert gpu.domain_gpus % gpu.node_gpus == 0
    assert set(gpu.basis) == set(Gpu.model_fields) - {"name", "title", "basis"}


@pytest.mark.parametrize("name", catalog.names("fabrics"))
def test_a_fabric_is_whole(name: str) -> None:
    fabric = catalog.fabric(name)
    assert fabric.noise.affects == "network"
    assert "noise.law.sigma" in fabric.basis


@pytest.mark.parametrize("name", catalog.names("models"))
def test_a_model_is_whole(name: str) -> None:
    model = catalog.model(name)
    assert model.hidden == model.n_heads * model.head_dim
    assert model.n_heads % model.n_kv_heads == 0


def test_a_number_without_a_basis_is_refused() -> None:
    table = catalog.gpu("h100-sxm").model_dump()
    del table["basis"]["nic_bytes_per_s"]
    with pytest.raises(ValidationError, match="basis missing for \\['nic_bytes_per_s'\\]"):
        Gpu.model_validate(table)


@pytest.mark.parametrize("name", [name for name in catalog.names("presets") if name != "measured"])
def test_a_preset_gives_every_number_of_its_own_a_basis(name: str) -> None:
    scenario = hm.load(name)
    table = scenario.model_dump(exclude_unset=True, exclude={"unknowns", "basis", "name"})
    explained = set(scenario.basis)

    def unexplained(value: object, path: str) -> list[str]:
        above = {path.rsplit(".", cut)[0] for cut in range(path.count(".") + 1)}
        if path in explained or above & explained:
            return []
        if isinstance(value, dict):
            return [
                missing
                for key, inner in value.items()
                for missing in unexplained(inner, f"{path}.{key}" if path else key)
            ]
        plain = isinstance(value, str | bool | list) or value is None
        return [] if plain else [path]

    assert unexplained(table, "") == []


def test_colossus_1_assumes_only_what_nobody_has_published() -> None:
    assumed = {
        path for path, basis in bases(hm.load("colossus-1")).items() if basis.kind == "assumed"
    }
    assert assumed == {
        "workload",
        "layout",
        "collective",
        "pools.h100.software_efficiency",
        "pools.h200.software_efficiency",
        "pools.gb200.software_efficiency",
        "causes.gpu-speed.law.sigma",
        "causes.gpu-speed.law.cap",
        "causes.stall.probability",
        "causes.pause.probability",
        "causes.pause.law.cap",
        "roce-400g.noise.law.sigma",
    }


def test_a_new_gpu_is_one_file(tmp_path: Path) -> None:
    copy = tmp_path / "hindmost"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    gpus = copy / "catalog" / "gpus"
    text = (gpus / "h100-sxm.toml").read_text(encoding="utf-8")
    text = text.replace('name = "h100-sxm"', 'name = "h100-fast"').replace("989e12", "1978e12")
    (gpus / "h100-fast.toml").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "hindmost", "validate", "h100-1k"]
    command += ["--set", "pools.h100.gpu=h100-fast"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "1,024 h100-fast" in done.stdout
