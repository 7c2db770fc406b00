"""`hindmost serve` and `hm.serve`: the best configurations, and what is refused."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import hindmost as hm
from hindmost.cli.app import cli

SCENARIO = """
[pools.h100]
gpu = "h100-sxm"
n_gpus = 1_024
[pools.gb200]
gpu = "gb200-nvl72"
n_gpus = 144
[serving]
model = "llama3-70b"
slo = { ttft_s = 2.0, tpot_s = 0.05, percentile = 99 }
[requests]
input_tokens = { name = "uniform", low = 3000, high = 5000 }
output_tokens = 1000
routing = "least-loaded"
"""
TRAINS = """
[fabric]
name = "infiniband-ndr"
[workload]
model = "llama3-8b"
seq_len = 4096
microbatch_seqs = 1
n_microbatches = 1
[layout]
tensor = 8
"""
CAUSES = """
[causes.speed]
law = { name = "lognormal", sigma = 0.0172 }
affects = "compute"
effect = "slowdown"
scope = "gpu"
span = "run"
[failures.host]
scope = "node"
per_hour = 1e-4
repair_hours = 12.0
[recovery]
detection_s = 60
restart_s = 600
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "serving.toml"
    path.write_text(SCENARIO)
    return path


def test_the_best_configurations_come_first_and_keep_to_limits() -> None:
    found = hm.serve(
        model="llama3-70b", gpus={"h200-sxm": 64}, input_tokens=4000, ttft_s=2.0, tpot_s=0.05
    )
    rate = [one["output_tokens_per_s_per_gpu"] for one in found.configurations]
    assert len(rate) == 5
    assert rate == sorted(rate, reverse=True)
    assert all(one["ttft_s"] <= 2.0 and one["tpot_s"] <= 0.05 for one in found.configurations)
    aggregated = [one for one in found.configurations if one["kind"] == "aggregated"]
    best = aggregated[0]
    # A larger batch would be too slow for a user.
    assert best["tpot_s"] > 0.049
    (pool,) = found.pools
    assert pool["output_tokens_per_s_per_gpu"] == pytest.approx(best["output_tokens_per_s_per_gpu"])
    assert found.total["output_tokens_per_s"] == pytest.approx(
        64 * best["output_tokens_per_s_per_gpu"]
    )
    loose = hm.serve(model="llama3-70b", gpus={"h200-sxm": 64}, input_tokens=4000)
    assert loose.total["output_tokens_per_s"] > found.total["output_tokens_per_s"]
    assert found.frame.height == 5


def test_no_point_of_the_frontier_exceeds_another() -> None:
    found = hm.serve(model="qwen3-32b", gpus={"h100-sxm": 8, "b200-sxm": 8}, engine="trtllm")
    by_user = [one["tokens_per_s_per_user"] for one in found.frontier]
    by_gpu = [one["output_tokens_per_s_per_gpu"] for one in found.frontier]
    assert by_user == sorted(by_user, reverse=True)
    assert by_gpu == sorted(by_gpu)
    best = max(
        one["output_tokens_per_s_per_gpu"]
        for one in found.configurations
        if one["kind"] == "aggregated"
    )
    assert by_gpu[-1] == pytest.approx(best, rel=0.02)


def test_a_split_divides_gpus_by_what_both_kinds_take() -> None:
    found = hm.serve(model="llama3-70b", gpus={"h100-sxm": 64, "h200-sxm": 64}, tpot_s=0.03)
    split = next(one for one in found.configurations if one["kind"] == "split")
    prompts = split["prefill"]
    assert 0 < prompts["gpu_share"] < 1
    # Those that decode do nothing else: a batch gives each user a token an iteration.
    decoding = split["batch"] / split["tpot_s"] / split["n_gpus"]
    assert split["output_tokens_per_s_per_gpu"] == pytest.approx(
        (1 - prompts["gpu_share"]) * decoding
    )
    one_replica = hm.serve(model="deepseek-v3", gpus={"h200-sxm": 8}, engine="sglang")
    assert all(one["kind"] == "aggregated" for one in one_replica.configurations)


def test_a_scenario_serves_on_all_of_its_pools(scenario: Path) -> None:
    found = hm.serve(scenario)
    assert [pool["pool"] for pool in found.pools] == ["h100", "gb200"]
    assert found.inputs["input_tokens"] == pytest.approx(4000)
    assert found.total["n_gpus"] == 1168
    each = [pool["output_tokens_per_s"] for pool in found.pools]
    assert found.total["output_tokens_per_s"] == pytest.approx(sum(each))
    assert all(pool["pace"] == 1 and pool["availability"] == 1 for pool in found.pools)


def test_stragglers_and_failures_take_what_they_cost_from_the_pools(scenario: Path) -> None:
    plain = hm.serve(scenario)
    scenario.write_text(SCENARIO + CAUSES)
    found = hm.serve(scenario)
    for before, after in zip(plain.pools, found.pools, strict=True):
        assert 0.95 < after["pace"] < 1.0002
        assert 0.99 < after["availability"] < 1
        most = before["output_tokens_per_s"] * after["availability"]
        # Limits hold with stragglers, so that batches are smaller, too.
        assert 0.9 * most < after["output_tokens_per_s"] < most
        assert after["tpot_s"] <= 0.05


def test_a_scenario_may_train_and_serve(scenario: Path) -> None:
    scenario.write_text(SCENARIO + TRAINS + CAUSES)
    assert hm.load(scenario).serving is not None
    assert hm.simulate(scenario, steps=10, runs=2, seed=1).value("mfu") > 0
    assert hm.serve(scenario).total["n_gpus"] == 1168
    scenario.write_text(SCENARIO)
    with pytest.raises(hm.ScenarioError, match=r"workload is missing.*hindmost serve"):
        hm.load(scenario)


def test_requests_a_second_are_served_with_the_smallest_batch(scenario: Path) -> None:
    most = hm.serve(scenario).total["requests_per_s"]
    found = hm.serve(scenario, changes={"requests.arrivals_per_s": most / 2})
    assert found.total["requests_per_s"] == pytest.approx(most / 2)
    assert found.total["most_requests_per_s"] == pytest.approx(most)
    assert found.total["is_enough"]
    assert found.total["tpot_s"] < hm.serve(scenario).total["tpot_s"]
    too_many = hm.serve(scenario, changes={"requests.arrivals_per_s": 2 * most})
    assert not too_many.total["is_enough"]
    for one in found.configurations:
        asked = most / 2 * 1000
        assert one["gpus_needed"] * one["output_tokens_per_s_per_gpu"] >= asked
        fewer = one["gpus_needed"] - one["n_gpus"]
        assert fewer * one["output_tokens_per_s_per_gpu"] < asked


def test_experts_may_lie_in_several_domains_where_that_is_asked_for() -> None:
    call: dict[str, Any] = {"model": "deepseek-v3", "gpus": {"h100-sxm": 64}, "engine": "sglang"}
    narrow, wide = hm.serve(**call), hm.serve(**call, wide_domains=4)
    assert all(one["n_gpus"] <= 8 for one in narrow.configurations)
    assert wide.configurations[0]["n_gpus"] > 8
    assert wide.total["output_tokens_per_s"] > 2 * narrow.total["output_tokens_per_s"]
    assert any("between domains" in line for line in wide.assumed)
    assert not any("between domains" in line for line in narrow.assumed)


def test_requests_at_once_beyond_memory_wait(tmp_path: Path) -> None:
    path = tmp_path / "k.toml"
    path.write_text(
        '[pools.g]\ngpu = "b200-sxm"\nn_gpus = 8\n'
        '[serving]\nmodel = "kimi-k2"\ndtype = "fp4"\ntensor = 8\n'
        "[requests]\nconcurrency = 384\ninput_tokens = 8192\noutput_tokens = 1024\n"
    )
    (pool,) = hm.serve(path).pools
    assert pool["batch"] < 200
    assert pool["ttft_s"] > 30
    few = hm.serve(path, changes={"requests.concurrency": 16}).pools[0]
    assert few["batch"] == 16
    assert few["ttft_s"] < 1


@pytest.mark.parametrize("isl", [8192, 8193, 9000, 40_000])
def test_long_prompts_are_served_in_several_passes(isl: int) -> None:
    found = hm.serve(model="llama3-70b", gpus={"h200-sxm": 8}, input_tokens=isl)
    assert found.total["output_tokens_per_s"] > 0


def test_requests_a_second_never_break_the_limits() -> None:
    call: dict[str, Any] = {"model": "llama3-70b", "tpot_s": 0.012}
    call["gpus"] = {"h100-sxm": 8, "b200-sxm": 8}
    most = hm.serve(**call).total["requests_per_s"]
    rates = []
    for share in (0.2, 0.6, 0.99, 1.01, 2.0):
        found = hm.serve(**call, arrivals_per_s=share * most)
        assert found.total["is_enough"] == (share < 1)
        assert all(pool["tpot_s"] <= 0.012 for pool in found.pools)
        rates.append(found.total["requests_per_s"])
    assert rates == pytest.approx([0.2 * most, 0.6 * most, 0.99 * most, most, most])


def test_requests_at_once_that_break_the_limits_are_said_to() -> None:
    call: dict[str, Any] = {"model": "llama3-70b", "gpus": {"h200-sxm": 64}, "tpot_s": 0.05}
    few, many = (hm.serve(**call, concurrency=n) for n in (320, 20_000))
    assert few.total["keeps_limits"]
    assert not few.notes
    assert not many.total["keeps_limits"]
    assert "no configuration of h200-sxm keeps to the limits" in many.notes[0]
    assert {one["batch"] for one in few.configurations} <= {5.0, 10.0, 20.0, 40.0}


def test_less_than_a_request_a_replica_leaves_some_idle() -> None:
    found = hm.serve(model="deepseek-v3", gpus={"h200-sxm": 64}, engine="sglang", concurrency=2)
    (pool,) = found.pools
    assert pool["batch"] == 1
    # Two of eight replicas have one request each.
    per_s = pool["requests_per_s"]
    request_s = pool["ttft_s"] + 999 * pool["tpot_s"]
    assert per_s == pytest.approx(2 / request_s, rel=0.05)


def test_where_a_split_alone_keeps_to_limits_the_total_is_its_own() -> None:
    call: dict[str, Any] = {"model": "llama3-70b", "gpus": {"b300-sxm": 16}, "input_tokens": 5000}
    waits = min(one["ttft_s"] for one in hm.serve(**call).frontier)
    found = hm.serve(**call, ttft_s=waits * 0.995)
    assert [one["kind"] for one in found.configurations] == ["split"]
    assert found.pools == []
    assert found.total["output_tokens_per_s"] == pytest.approx(
        16 * found.configurations[0]["output_tokens_per_s_per_gpu"]
    )
    assert found.notes == ("Only the split keeps to the limits; the total is that of its pools.",)


@pytest.mark.parametrize("model", ["gpt-oss-120b", "qwen3-235b", "llama3-70b"])
def test_more_gpus_never_give_less(model: str) -> None:
    rates = [
        hm.serve(model=model, gpus={"h200-sxm": n}, tpot_s=0.05).total["output_tokens_per_s"]
        for n in range(4, 17)
    ]
    assert rates == sorted(rates)


def test_gpus_that_make_up_no_replica_serve_nothing() -> None:
    found = hm.serve(model="deepseek-v3", gpus={"h200-sxm": 9}, engine="sglang")
    (pool,) = found.pools
    assert pool["replicas"] == 1
    assert pool["most_requests_per_s"] == pool["requests_per_s"]
    eight = hm.serve(model="deepseek-v3", gpus={"h200-sxm": 8}, engine="sglang")
    assert pool["requests_per_s"] == pytest.approx(eight.pools[0]["requests_per_s"])


def test_a_pool_that_cannot_hold_the_model_is_named() -> None:
    found = hm.serve(model="deepseek-v3", gpus={"l40s": 8, "h200-sxm": 8}, engine="sglang")
    assert [pool["pool"] for pool in found.pools] == ["h200-sxm"]
    assert "l40s serves nothing: deepseek-v3 in fp8 fits into no domain's memory." in found.notes


def test_arguments_beside_a_scenario_are_refused(scenario: Path) -> None:
    with pytest.raises(hm.ScenarioError, match="input_tokens must be absent with a scenario"):
        hm.serve(scenario, input_tokens=4.0, model="llama3-70b")


def test_an_own_gpu_needs_its_bandwidth(scenario: Path) -> None:
    own = (
        "[gpus.mine]\npeak_bf16_flop_per_s = 1e15\nmemory_bytes = 100e9\n"
        "scale_up_bytes_per_s = 1e11\nnode_gpus = 8\ndomain_gpus = 8\n"
    )
    scenario.write_text(SCENARIO.replace('"h100-sxm"', '"mine"') + own)
    with pytest.raises(hm.ScenarioError, match=r"gpus\.mine\.hbm_bytes_per_s is missing"):
        hm.serve(scenario)
    scenario.write_text(scenario.read_text() + "hbm_bytes_per_s = 3e12\n")
    found = hm.serve(scenario)
    assert "mine: kernel efficiency of bf16: 0.75" in found.assumed


def run(*words: str) -> Any:
    return CliRunner().invoke(cli, ["serve", *words], catch_exceptions=True)


def test_the_command_prints_tables_and_json(scenario: Path) -> None:
    words = ["--model", "llama3-70b", "--gpus", "64xh200-sxm", "--isl", "4000", "--tpot", "0.05"]
    shown = run(*words)
    assert shown.exit_code == 0
    assert "TP2" in shown.output
    assert max(map(len, shown.output.splitlines()[2:12])) <= 80
    document = json.loads(run(*words, "--format", "json").output)
    assert {"pools", "total", "configurations"} <= set(document)
    names = (
        "output_tokens_per_s_per_gpu",
        "input_tokens_per_s_per_gpu",
        "tokens_per_s_per_user",
        "ttft_s",
        "tpot_s",
        "batch",
    )
    for each in (*document["pools"], document["total"], *document["configurations"]):
        assert all(each[name] > 0 for name in names)
    assert run(str(scenario), "--format", "csv").output.startswith("layout,")
    assert run(str(scenario), "--format", "markdown").exit_code == 0
    assert (
        "kernel efficiency of fp4"
        in run("--model", "llama3-70b", "--gpus", "8xb200-sxm", "--dtype", "fp4").output
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"model": "llama"}, 'model must be one of the catalogue\'s, got "llama"'),
        ({"gpus": {}}, "gpus must say how many"),
        ({"gpus": {"h200": 8}}, "gpus must be one of the catalogue's"),
        ({"gpus": {"h200-sxm": 0}}, "gpus.h200-sxm must be a whole number >= 1"),
        ({"engine": "vlm"}, "engine must be one of sglang, trtllm, vllm"),
        ({"dtype": "int8"}, "dtype must be one of bf16, fp8, fp4"),
        ({"input_tokens": 0}, "input_tokens must be >= 1"),
        ({"output_tokens": float("nan")}, "output_tokens must be >= 1"),
        ({"tpot_s": -1.0}, "tpot_s must be > 0"),
        ({"tpot_s": 1e-4}, "serving.slo is too narrow"),
        ({"wide_domains": 0}, "wide_domains must be a whole number >= 1 and <= 64"),
        ({"gpus": ["h200-sxm"]}, "gpus must say how many"),
        ({"gpus": {"h200-sxm": 10**400}}, "gpus.h200-sxm must be a whole number"),
        ({"gpus": {"h200-sxm": True}}, "gpus.h200-sxm must be a whole number"),
        ({"input_tokens": 10**400}, "input_tokens must be >= 1 and <= 1e"),
        ({"arrivals_per_s": 1e308}, "arrivals_per_s must be > 0 and <= 1e"),
        ({"changes": {"pools.h100.n_gpus": 8}}, "changes must come with a scenario"),
        ({"prefix_hit": 1.0}, "prefix_hit must be >= 0 and < 1"),
        ({"concurrency": 8, "arrivals_per_s": 1.0}, "concurrency must be absent"),
        ({"model": "llama3-405b", "dtype": "bf16", "gpus": {"l40s": 8}}, "must have room"),
    ],
)
def test_wrong_arguments_are_refused_with_what_would_do(call: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"model": "llama3-70b", "gpus": {"h200-sxm": 8}, **call}
    with pytest.raises(hm.ScenarioError, match=words):
        hm.serve(**given)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("serving.model=llama", "serving.model must be one of"),
        ("serving.engine=vlm", "serving.engine must be one of the catalogue's engines"),
        ("serving.tensor=0", "serving.tensor must be"),
        ("serving.layout=best", ""),
        ("requests.input_tokens=0", "requests.input_tokens"),
        ("requests.arrivals_per_s=1e308", "requests.arrivals_per_s must be <= 1e"),
        ('requests.output_tokens={"name": "constant", "value": 0.1}', "must have a mean >= 1"),
        ('gpus.mine={"extends": "h100-sxm"}', ""),
        ("requests.concurrency=-1", "requests.concurrency must be > 0"),
        ("requests.trace=FILE", "requests.trace cannot be read"),
        ("serving.slo.tpot_s=1e-6", "serving.slo is too narrow"),
        ("pools.h100.gpu=h101", "pools.h100.gpu"),
        ("serving.tensor=3", "serving.tensor"),
        ("serving.tensor=16", "serving.tensor"),
    ],
)
def test_wrong_scenarios_are_refused_with_their_key_paths(
    scenario: Path, change: str, words: str
) -> None:
    path, _, value = change.partition("=")
    parsed: Any = value
    with suppress(ValueError):
        parsed = json.loads(value)
    if not words:
        assert hm.serve(scenario, changes={path: parsed}).total["n_gpus"] == 1168
        return
    with pytest.raises(hm.ScenarioError, match=words):
        hm.serve(scenario, changes={path: parsed})


@pytest.mark.parametrize(
    "words",
    [
        ["--gpus", "h200-sxm"],
        ["--model", "llama3-70b", "--gpus", "64*h200-sxm"],
        ["--model", "llama3-70b", "--gpus", "8xh200-sxm", "--set", "a.b=1"],
        ["h100-1k"],
        ["no-such-preset"],
    ],
)
def test_wrong_calls_end_with_status_two(words: list[str]) -> None:
    from subprocess import run as run_process
    from sys import executable

    found = run_process(
        [executable, "-m", "hindmost", "serve", *words], capture_output=True, text=True
    )
    assert found.returncode == 2
    assert found.stdout == ""
    assert "Traceback" not in found.stderr
    assert found.stderr.startswith("hindmost: ")


def test_options_beside_a_scenario_are_refused(scenario: Path) -> None:
    from subprocess import run as run_process
    from sys import executable

    words = [
        executable,
        "-m",
        "hindmost",
        "serve",
        str(scenario),
        "--isl",
        "3",
        "--gpus",
        "8xh200-sxm",
    ]
    found = run_process(words, capture_output=True, text=True)
    assert found.returncode == 2
    assert "--isl must be absent with a SCENARIO" in found.stderr
    assert "--gpus must be absent with a SCENARIO" in found.stderr
