"""The catalogue: every entry is complete, and a new one takes one file."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.presets import WHOLE

import hindmost as hm
from hindmost import catalog
from hindmost.catalog import Gpu
from hindmost.scenario import bases, from_table, to_table
from hindmost.scenario.models import Figure
from hindmost.scenario.warnings import scenario_warnings

PACKAGE = Path(hm.__file__).parent


@pytest.mark.parametrize("name", catalog.names("gpus"))
def test_a_gpu_is_whole(name: str) -> None:
    gpu = catalog.gpu(name)
    assert gpu.domain_gpus % gpu.node_gpus == 0
    numbers = set(Gpu.model_fields) - {"name", "title", "basis", "architecture"}
    assert set(gpu.basis) == {field for field in numbers if getattr(gpu, field) is not None}


LINK_BYTES_PER_S = {"ampere": 20.0e9, "hopper": 20.6e9, "blackwell": 40.1e9}
"""One direction of one NVLink, as NCCL counts it."""


@pytest.mark.parametrize("name", catalog.names("gpus"))
def test_what_nccl_says_of_a_gpu_goes_with_its_architecture(name: str) -> None:
    gpu = catalog.gpu(name)
    # Only NCCL's tables have a figure for the latency.
    assert (gpu.architecture is None) == (gpu.scale_up_latency_s is None)
    if gpu.architecture is not None:
        n_links = gpu.scale_up_bytes_per_s / LINK_BYTES_PER_S[gpu.architecture]
        assert n_links == pytest.approx(round(n_links), rel=1e-12)
        assert round(n_links) in (8, 12, 18)


@pytest.mark.parametrize("name", catalog.names("gpus"))
def test_an_efficiency_is_of_a_number_format_that_the_gpu_has(name: str) -> None:
    gpu = catalog.gpu(name)
    dtypes: tuple[catalog.Dtype, ...] = ("bf16", "fp8", "fp4")
    peaks = [gpu.peak_flop_per_s(dtype) for dtype in dtypes]
    there = [peak for peak in peaks if peak is not None]
    assert there == sorted(there)
    for dtype, peak in zip(dtypes, peaks, strict=True):
        assert peak is not None or gpu.kernel_efficiency_of(dtype) is None


def test_figures_of_a_number_format_are_its_own() -> None:
    gpu = catalog.gpu("b200-sxm")
    peaks = [gpu.peak_flop_per_s("bf16"), gpu.peak_flop_per_s("fp8"), gpu.peak_flop_per_s("fp4")]
    assert peaks == [2250e12, 4500e12, 9000e12]
    assert gpu.kernel_efficiency_of("bf16") == 0.776
    assert gpu.kernel_efficiency_of("fp8") == 0.763
    assert gpu.kernel_efficiency_of("fp4") is None


@pytest.mark.parametrize("name", catalog.names("fabrics"))
def test_a_fabric_is_whole(name: str) -> None:
    fabric = catalog.fabric(name)
    assert fabric.noise.affects == "network"
    assert "noise.law.sigma" in fabric.basis


PARTS = ("latent", "experts", "indexer", "linear", "state_space")


@pytest.mark.parametrize("name", catalog.names("models"))
def test_a_model_is_whole(name: str) -> None:
    model = catalog.model(name)
    assert len(catalog.layers_of(model)) == model.n_layers
    parts = {key: getattr(model, key) for key in PARTS}
    for part, table in parts.items():
        given = {path.partition(".")[2] for path in model.basis if path.startswith(f"{part}.")}
        assert given == (table.model_fields_set if table else set())


def test_no_number_of_the_catalogue_is_fitted_to_a_log_of_ones_own() -> None:
    texts = [catalog.text(kind, name) for kind in catalog.KINDS for name in catalog.names(kind)]
    assert not [text for text in texts if 'kind = "measured"' in text]


def test_a_number_without_a_basis_is_refused() -> None:
    table = catalog.gpu("h100-sxm").model_dump()
    del table["basis"]["nic_bytes_per_s"]
    with pytest.raises(ValidationError, match="basis missing for \\['nic_bytes_per_s'\\]"):
        Gpu.model_validate(table)


def test_a_number_within_a_table_without_a_basis_is_refused() -> None:
    table = catalog.model("mixtral-8x7b").model_dump(exclude_unset=True)
    del table["basis"]["experts.per_token"]
    with pytest.raises(ValidationError, match=r"basis missing for .'experts\.per_token'"):
        catalog.Model.model_validate(table)


OWN = {
    "n_layers": 80,
    "hidden": 8192,
    "n_heads": 64,
    "n_kv_heads": 8,
    "head_dim": 128,
    "ffn_hidden": 28672,
    "vocabulary": 128256,
}


def own(changes: dict[str, object]) -> dict[str, object]:
    return {"models.my-gpt": OWN, "workload.model": "my-gpt", **changes}


def test_a_scenarios_own_model_counts_as_the_catalogues_of_the_same_dimensions() -> None:
    scenario = hm.load("h100-1k", own({}))
    mine, catalogues = scenario.model.model_dump(), catalog.model("llama3-70b").model_dump()
    assert mine == {key: catalogues[key] for key in mine}
    assert from_table(to_table(scenario)) == scenario
    assert not any(path.startswith("my-gpt") for path in bases(scenario))


def test_a_model_with_a_name_of_the_catalogue_takes_its_place() -> None:
    """The catalogue grows: a scenario that has its own model of a name goes on with that."""
    changes = {"models.llama3-70b": {**OWN, "n_layers": 40}, "workload.model": "llama3-70b"}
    scenario = hm.load("h100-1k", changes)
    assert scenario.model.n_layers == 40
    (warning,) = (one for one in scenario_warnings(scenario) if one.path.startswith("models"))
    assert "takes its place" in str(warning)
    assert "models.llama3-70b.n_layers" not in bases(scenario)
    same = hm.load("h100-1k", {**changes, "models.llama3-70b": OWN})
    assert not any(one.path.startswith("models") for one in scenario_warnings(same))


EXPERTS = {"n_experts": 8, "per_token": 2, "ffn_hidden": 1024}
LATENT = {"q_rank": 1536, "kv_rank": 512, "rope_head_dim": 64}

REFUSED: list[tuple[dict[str, object], str]] = [
    (
        {"workload.model": "my-gtp"},
        "changes: workload.model must be one of the catalogue's models, "
        'got "my-gtp"; did you mean "my-gpt"?',
    ),
    (
        {"models.My": OWN},
        'changes: models.My must have a name of a-z, 0-9 and - only, got "My"',
    ),
    (
        {"models.my-gpt.hiden": 1},
        'changes: models.my-gpt.hiden is not a known key; did you mean "hidden"?',
    ),
    ({"models.my-gpt.n_layers": 0}, "changes: models.my-gpt.n_layers must be >= 1, got 0"),
    (
        {"models.my-gpt.n_kv_heads": 7},
        "changes: models.my-gpt.n_kv_heads must be a divisor of n_heads (64), got 7",
    ),
    (
        {"models.my-gpt.experts": {**EXPERTS, "per_token": 9}},
        "changes: models.my-gpt.experts.per_token must be <= n_experts (8), got 9",
    ),
    (
        {"models.my-gpt.experts": {**EXPERTS, "n_dense_layers": 80}},
        "changes: models.my-gpt.experts.n_dense_layers must be < n_layers (80), got 80",
    ),
    (
        {"models.my-gpt.latent": LATENT},
        "changes: models.my-gpt.n_kv_heads must be n_heads (64), as attention is latent, got 8",
    ),
    (
        {"models.my-gpt.n_kv_heads": 64, "models.my-gpt.latent": {**LATENT, "rope_head_dim": 128}},
        "changes: models.my-gpt.latent.rope_head_dim must be < head_dim (128), got 128",
    ),
]


@pytest.mark.parametrize(("changes", "says"), REFUSED)
def test_a_model_of_ones_own_is_judged(changes: dict[str, object], says: str) -> None:
    with pytest.raises(hm.ScenarioError) as refused:
        hm.load("h100-1k", own(changes))
    assert str(refused.value) == says


def test_an_unknown_model_is_refused_along_with_all_else() -> None:
    with pytest.raises(hm.ScenarioError) as refused:
        hm.load("h100-1k", {"workload.model": "none", "workload.seq_len": 0, "layout.tensor": 0})
    paths = [problem.path for problem in refused.value.problems]
    assert paths == ["workload.model", "workload.seq_len", "layout.tensor"]


ONE = {"layout.tensor": 1, "pools.h100.n_gpus": 1024, "layout.shard_group_replicas": 64}

MEASURED = {
    "pools.h100.gpu": "mi300x",
    "pools.h100.forward_s": 1.0,
    "pools.h100.backward_s": 2.0,
}

MISSING: list[tuple[dict[str, object], list[str]]] = [
    (
        {"pools.h100.gpu": "mi250x", "layout.tensor": 4},
        [
            "pools.h100.kernel_efficiency is missing: the catalogue has none for mi250x",
            "pools.h100.scale_up_latency_s is missing: the catalogue has none for mi250x",
        ],
    ),
    (
        {"pools.h100.gpu": "tpu-v4"},
        [
            f"pools.h100.{field} is missing: the catalogue has none for tpu-v4"
            for field in ("kernel_efficiency", "nic_bytes_per_s", "scale_up_latency_s")
        ],
    ),
    (
        {"pools.h100.gpu": "mi300x", "workload.dtype": "fp8"},
        [
            "pools.h100.kernel_efficiency is missing: the catalogue has none for mi300x with fp8",
            "pools.h100.scale_up_latency_s is missing: the catalogue has none for mi300x",
        ],
    ),
    # Several replicas of one domain exchange over its scale-up links.
    (
        {**ONE, **MEASURED},
        ["pools.h100.scale_up_latency_s is missing: the catalogue has none for mi300x"],
    ),
    (
        {"pools.h100.gpu": "gh200", **ONE},
        ["pools.h100.nic_bytes_per_s is missing: the catalogue has none for gh200"],
    ),
    (
        {"pools.h100.forward_s": 1.0},
        ["pools.h100.backward_s is missing where pools.h100.forward_s is given"],
    ),
    (
        {"pools.h100.backward_s": 1.0},
        ["pools.h100.forward_s is missing where pools.h100.backward_s is given"],
    ),
    (
        {"pools.h100.idle_power_w": 701.0},
        ["pools.h100.idle_power_w must be <= 700, the peak power, got 701"],
    ),
    (
        {"pools.h100.gpu": "a100-sxm", "workload.dtype": "fp8", "workload.mfu_dtype": "fp8"},
        [
            f'workload.{key} must be one that pool h100 (a100-sxm) has a peak for, got "fp8"'
            for key in ("dtype", "mfu_dtype")
        ],
    ),
]


@pytest.mark.parametrize(("changes", "say"), MISSING)
def test_a_figure_that_nobody_has_published_is_asked_for(
    changes: dict[str, object], say: list[str]
) -> None:
    with pytest.raises(hm.ScenarioError) as refused:
        hm.load("h100-1k", changes)
    found = refused.value.problems
    assert [str(replace(problem, source="", hint="")) for problem in found] == say


def test_a_figure_that_nothing_needs_is_not_asked_for() -> None:
    # One replica a domain with measured passes: no rank exchanges over scale-up links.
    assert hm.load("h100-1k", MEASURED).pools["h100"].figure("scale_up_latency_s") is None


def test_a_pools_own_figures_are_in_force() -> None:
    figures: dict[Figure, float] = {
        "scale_up_latency_s": 1e-6,
        "nic_bytes_per_s": 25e9,
        "peak_power_w": 650.0,
        "idle_power_w": 90.0,
    }
    changes = {f"pools.h100.{field}": value for field, value in figures.items()}
    catalogues, own = hm.load("h100-1k"), hm.load("h100-1k", changes)
    for field, value in figures.items():
        assert own.pools["h100"].figure(field) == value
        assert catalogues.pools["h100"].figure(field) == getattr(catalog.gpu("h100-sxm"), field)
        assert f"h100-sxm.{field}" not in bases(own)
    assert "h100-sxm.nic_bytes_per_s" in bases(catalogues)


def test_a_pools_own_efficiency_holds_for_the_workloads_number_format() -> None:
    fp8 = {"workload.dtype": "fp8"}
    assert hm.load("h100-1k", fp8).pools["h100"].efficiency("fp8") == 0.709
    changes = {**fp8, "pools.h100.kernel_efficiency": 0.5}
    scenario = hm.load("h100-1k", changes)
    assert scenario.pools["h100"].efficiency("fp8") == 0.5
    assert not any("kernel_efficiency" in path for path in bases(scenario))


def test_bases_are_of_the_number_formats_in_use() -> None:
    plain = {path for path in bases(hm.load("h100-1k")) if path.startswith("h100-sxm.")}
    assert "h100-sxm.kernel_efficiency" in plain
    assert not any("fp8" in path for path in plain)
    fp8 = bases(hm.load("h100-1k", {"workload.dtype": "fp8"}))
    assert {"h100-sxm.peak_bf16_flop_per_s", "h100-sxm.kernel_efficiency_fp8"} <= set(fp8)
    # Attention scores and the output layer stay in BF16.
    assert "h100-sxm.kernel_efficiency" in fp8


@pytest.mark.parametrize("name", WHOLE)
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
        "pools.gb200.smoothing.seconds_per_transition",
        "workload",
        "layout",
        "collective",
        "pools.h100.software_efficiency",
        "pools.h200.software_efficiency",
        "pools.gb200.software_efficiency",
        "causes.gpu-speed.law.sigma",
        "causes.gpu-speed.law.cap",
        "causes.stall.per_hour",
        "causes.pause.per_hour",
        "causes.pause.law.cap",
        "roce-400g.noise.law.sigma",
        "recovery.restart_s",
        "checkpoint.blocking_s",
        "checkpoint.interval_s",
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
