"""Requests that queue for replicas: traces, laws, routing, limits, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import hindmost as hm
from hindmost import catalog
from hindmost.cli.app import cli
from hindmost.queues.trace import RequestTrace, read_trace
from hindmost.serving.cycle import Load, cycle, rates
from hindmost.serving.passes import decode
from hindmost.serving.replica import Replica
from hindmost.serving.servers import servers
from hindmost.serving.software import software_for

SHARED = Path(__file__).parents[3] / "shared" / "data" / "requests"
GPUS = {"h200-sxm": 64}

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,4808,10
2023-11-16 18:17:04.0319600,3180,8
2023-11-16 18:17:14.0319600,110,27
"""
ZONED = """TIMESTAMP,ContextTokens,GeneratedTokens
2024-05-10T00:00:00.009930+00:00,2162,5
2024-05-10T00:00:00.509930+00:00,2399,6
"""
BURSTGPT = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,ChatGPT,1087,230,1317,Conversation log
46,GPT-4,417,0,417,API log
45,GPT-4,417,276,693,Conversation log
118,ChatGPT,1360,647,2007,Conversation log
"""
MOONCAKE = """{"timestamp": 0, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]}
{"timestamp": 0, "input_length": 7322, "output_length": 490, "hash_ids": [0, 14]}
{"timestamp": 2999, "input_length": 7236, "output_length": 794, "hash_ids": [0, 28]}
{"timestamp": 6000, "input_length": 2290, "output_length": 316, "hash_ids": [0, 42]}
"""


def test_columns_say_whose_trace_a_file_is(tmp_path: Path) -> None:
    found = {}
    for name, text in (("a", AZURE), ("z", ZONED), ("b", BURSTGPT), ("m", MOONCAKE)):
        path = tmp_path / name
        path.write_text(text)
        found[name] = read_trace(path)
    azure = found["a"]
    assert azure.format == "azure"
    np.testing.assert_allclose(azure.at_s, [0, 0.052, 10.052])
    np.testing.assert_array_equal(azure.input_tokens, [4808, 3180, 110])
    assert azure.tick_s == 0
    assert azure.spread(seed=1) is azure.at_s
    np.testing.assert_allclose(found["z"].at_s, [0, 0.5])
    burst = found["b"]
    # Most of its requests have a second of their own.
    assert (burst.format, burst.left_out, burst.tick_s) == ("burstgpt", 1, 0.0)
    np.testing.assert_array_equal(burst.at_s, [0, 40, 40, 113])
    np.testing.assert_array_equal(burst.output_tokens, [18, 230, 276, 647])
    mooncake = found["m"]
    assert (mooncake.format, mooncake.tick_s) == ("mooncake", 2.999)
    np.testing.assert_array_equal(mooncake.output_tokens, [500, 490, 794, 316])
    # Zones of dates are looked at: a trace may cross a change of its clocks.
    path = tmp_path / "zones"
    path.write_text(ZONED.replace("00:00:00.509930+00:00", "02:00:01.009930+02:00"))
    np.testing.assert_allclose(read_trace(path).at_s, [0, 1])


def test_bursts_of_users_are_no_ticks_of_a_clock(tmp_path: Path) -> None:
    head = "Timestamp,Request tokens,Response tokens\n"
    path = tmp_path / "bursts"
    for text in (
        # One coincidence among many times, and fifty requests at once each minute.
        "".join(f"{600 * k},1,1\n" for k in range(100)) + "0,1,1\n",
        "".join(f"{60 * k},1,1\n" * 50 for k in range(5)),
    ):
        path.write_text(head + text)
        assert read_trace(path).tick_s == 0


def test_files_as_they_come_are_read(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    plain = read_trace_of(path, AZURE.encode())
    for data in (
        b"\xef\xbb\xbf" + AZURE.encode(),
        AZURE.replace("\n", "\r\n").encode(),
        AZURE.encode() + b"\n\n",
        AZURE.replace("TIMESTAMP", "extra,TIMESTAMP").replace("2023", "x,2023").encode(),
    ):
        np.testing.assert_array_equal(read_trace_of(path, data).at_s, plain.at_s)
    lines = b"\xef\xbb\xbf\n" + MOONCAKE.encode()
    assert read_trace_of(path, lines).format == "mooncake"


def test_a_clock_that_ticks_is_spread_over_its_ticks(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_text(MOONCAKE)
    trace = read_trace(path)
    spread = trace.spread(seed=1)
    assert (np.diff(spread) > 0).all()
    assert (spread >= trace.at_s).all()
    assert (spread <= trace.at_s + trace.tick_s).all()
    np.testing.assert_array_equal(spread, trace.spread(seed=1))
    assert (spread != trace.spread(seed=2)).any()


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the published traces")
@pytest.mark.parametrize(
    ("name", "requests", "variation", "tick_s"),
    [
        ("azure_2023_code.csv", 8_819, 13.15, 0),
        ("azure_2023_conv.csv", 19_366, 1.094, 0),
        ("mooncake_conversation_3000.jsonl", 3_000, 2.849, 2.999),
    ],
)
def test_published_traces_have_their_variation(
    name: str, requests: int, variation: float, tick_s: float
) -> None:
    trace = read_trace(SHARED / name)
    assert len(trace.at_s) == requests
    assert trace.left_out == 0
    assert trace.variation == pytest.approx(variation, rel=1e-3)
    assert trace.tick_s == tick_s


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "must have the columns of a trace"),
        ("", "must be a CSV file or lines of JSON"),
        ("{wrong", "must be a CSV file or lines of JSON"),
        (AZURE.replace("2023-11-16 18:17:04.0319600", "noon"), "trace, row 2 must have a time"),
        (AZURE.replace(",", ";"), "columns are separated by commas"),
        (AZURE.replace(",27", ",27,1"), "must be a CSV file or lines of JSON"),
        (MOONCAKE.replace("2999", "[1]"), "trace"),
        (MOONCAKE.replace("7322", "true"), "trace"),
        (AZURE.replace(",27", ",-27"), "trace, row 3 must have a number >= 0 in GeneratedTokens"),
        (AZURE.replace("4808", ""), "trace, row 1 must have a number >= 0 in ContextTokens"),
        (AZURE.replace("4808", "many"), "trace, row 1 must have a number >= 0 in ContextTokens"),
        (MOONCAKE.replace("6000", '"a"'), "trace, row 4 must have a time in timestamp"),
        ("\n".join(AZURE.splitlines()[:2]), "must hold two or more requests"),
        (MOONCAKE.replace("2999", "0").replace("6000", "0"), "must hold requests of different"),
    ],
)
def test_what_is_no_trace_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(text)
    with pytest.raises(hm.ScenarioError) as refused:
        hm.serve(model="llama3-70b", gpus=GPUS, trace=path)
    assert said in str(refused.value), str(refused.value)
    assert not str(refused.value).startswith("requests.")


@pytest.mark.parametrize(
    ("model", "engine", "gpu", "tensor", "groups"),
    [
        ("llama3-70b", "vllm", "h200-sxm", 2, 1),
        ("llama3-8b", "trtllm", "b200-sxm", 1, 1),
        ("deepseek-v3", "sglang", "h200-sxm", 1, 8),
    ],
)
@pytest.mark.parametrize("batch", [1, 24, 160])
def test_a_full_server_gives_what_a_cycle_of_its_replica_gives(
    model: str, engine: str, gpu: str, tensor: int, groups: int, batch: int
) -> None:
    replica = Replica(
        model=catalog.model(model),
        gpu=catalog.gpu(gpu),
        dtype="fp8",
        tensor=tensor,
        attention_dp=groups,
        expert=groups,
    )
    software, _ = software_for(engine, model, replica.model)
    load = Load(input_tokens=3000, output_tokens=500)
    prompts = np.linspace(1000, 9000, 17)
    made = servers(replica, load, software, n=1, cap=batch, pace=0.9, prompts=prompts)
    of = rates(cycle(replica, load, np.array([float(batch)])), load, software, pace=0.9)
    expected = batch / float(of.cycle_s[0])
    assert made.capacity_per_s == pytest.approx(expected, rel=1e-6)
    # A pass at the mean context is one of the roofline.
    passes = decode(replica, np.arange(1.0, batch + 1), context=load.context)
    expected_s = software.factor * passes.products_s + passes.exchange_s
    expected_s = expected_s + software.layer_s * replica.layers_in_step
    number = np.arange(1, batch + 1)
    expected_s = (expected_s + software.token_s * number) / 0.9
    found_s = made.by_number[:, 0] + made.by_number[:, 1] * number * load.context
    np.testing.assert_allclose(found_s, expected_s, rtol=1e-9)
    # A long prompt takes its passes, more for each token the longer it is.
    assert (made.prefill >= 0).all()
    long = Load(input_tokens=9000, output_tokens=500)
    other = cycle(replica, long, np.array([float(batch)]))
    layers = other.layers * other.prefills / (500 + other.prefills)
    seconds = software.factor * other.prompt_products_s + other.prompt_exchange_s
    seconds = (seconds + software.layer_s * layers) / batch / 0.9
    assert made.prefill @ [1.0, 9000, 9000.0**2] == pytest.approx(float(seconds[0]), rel=0.1)


def read_trace_of(path: Path, data: bytes) -> RequestTrace:
    path.write_bytes(data)
    return read_trace(path)


def served(**arguments: Any) -> hm.Served:
    plain: dict[str, Any] = {
        "model": "llama3-70b",
        "gpus": GPUS,
        "input_tokens": 2000,
        "output_tokens": 400,
        "seed": 3,
        "requests": 160_000,
    }
    return hm.serve(**{**plain, **arguments})


def value(found: hm.Served, metric: str, statistic: str = "mean") -> float:
    assert found.queue is not None
    (row,) = [
        row
        for row in found.queue["summary"]
        if (row["metric"], row["statistic"]) == (metric, statistic)
    ]
    return float(row["value"])


def test_requests_queue_where_they_come_at_a_rate() -> None:
    assert served().queue is None
    most = served().total["requests_per_s"]
    calm, busy = served(arrivals_per_s=0.4 * most), served(arrivals_per_s=0.97 * most)
    for metric in ("ttft_s", "tpot_s", "response_s"):
        assert value(busy, metric, "p99") > value(calm, metric, "p99")
        assert value(calm, metric, "p50") <= value(calm, metric, "p90")
    assert calm.queue is not None
    assert calm.queue["used"] == pytest.approx(0.4, rel=1e-9)
    assert value(calm, "requests_per_s") > 0
    assert value(calm, "tokens_per_s") == pytest.approx(
        400 * value(calm, "requests_per_s"), rel=1e-3
    )
    # What comes in turn waits less than what comes in bursts.
    bursts = served(arrivals_per_s=0.4 * most, variation=6)
    assert value(bursts, "ttft_s", "p99") > value(calm, "ttft_s", "p99")
    steady = served(arrivals_per_s=0.4 * most)
    assert steady.queue == calm.queue
    # An idle replica has no pass that a request would have to wait for.
    idle = served(arrivals_per_s=1e-3, requests=10_000)
    assert value(idle, "ttft_s", "p90") == pytest.approx(value(idle, "ttft_s", "p50"), rel=1e-6)


def test_more_requests_than_can_be_served_have_no_queue() -> None:
    most = served().total["requests_per_s"]
    found = served(arrivals_per_s=1.2 * most)
    assert found.queue is None
    assert any("wait without end" in note for note in found.notes)


def test_percentiles_say_whether_limits_are_kept() -> None:
    most = served(tpot_s=0.04, ttft_s=3.0).total["requests_per_s"]
    limits = {"tpot_s": 0.04, "ttft_s": 3.0, "arrivals_per_s": 0.9 * most}
    half = served(**limits, percentile=50).queue
    nearly_all = served(
        **limits,
        percentile=99.9,
    ).queue
    assert half is not None
    assert nearly_all is not None
    assert half["slo"]["share_within"] == nearly_all["slo"]["share_within"]
    assert half["slo"]["keeps_limits"] is True
    assert half["slo"]["ttft_s"] <= 3.0
    share = nearly_all["slo"]["share_within"]
    assert nearly_all["slo"]["keeps_limits"] is (share >= 0.999)
    assert served(arrivals_per_s=0.9 * most).queue["slo"] is None  # type: ignore[index]


def test_the_most_requests_that_keep_to_limits_are_where_they_cease_to() -> None:
    most = served(tpot_s=0.04, ttft_s=1.0).total["requests_per_s"]
    call = {"tpot_s": 0.04, "ttft_s": 1.0, "percentile": 95, "variation": 4}

    def slo(per_s: float, requests: int = 50_000) -> dict[str, Any]:
        found = served(**call, arrivals_per_s=per_s, requests=requests).queue
        assert found is not None
        table: dict[str, Any] = found["slo"]
        return table

    limit = slo(0.5 * most, requests=250_000)["most_requests_per_s"]
    assert 0.05 * most < limit < 0.95 * most
    # Looked at with a fifth of the requests.
    assert slo(limit)["keeps_limits"]
    assert not slo(1.01 * limit)["keeps_limits"]
    # No rate is low enough for what no request keeps to.
    never = served(arrivals_per_s=1.0, ttft_s=1.0, tpot_s=1.0, percentile=99.999, variation=200)
    assert never.queue is not None
    assert never.queue["slo"]["most_requests_per_s"] is None


def test_a_fast_pool_takes_more_where_speed_is_looked_at() -> None:
    gpus = {"h100-sxm": 16, "b200-sxm": 16}
    most = served(gpus=gpus).total["requests_per_s"]
    share = {}
    for routing in ("round-robin", "least-loaded", "speed-aware"):
        found = served(gpus=gpus, arrivals_per_s=0.5 * most, routing=routing)
        assert found.queue is not None
        pools = {one["pool"]: one for one in found.queue["pools"]}
        share[routing] = pools["b200-sxm"]["share"] / pools["b200-sxm"]["replicas"]
    assert share["round-robin"] < share["least-loaded"]
    assert share["round-robin"] < share["speed-aware"]


def test_fewer_replicas_stand_for_many() -> None:
    """Half as many replicas and requests give the same, up to what chance is among fewer."""
    rate = 0.7 * served().total["requests_per_s"]
    whole = served(arrivals_per_s=rate, variation=2, routing="round-robin", requests=1_600_000)
    part = served(arrivals_per_s=rate, variation=2, routing="round-robin", requests=80_000)
    assert whole.queue is not None
    assert part.queue is not None
    n_whole, n_part = (of.queue["pools"][0]["replicas"] for of in (whole, part))  # type: ignore[index]
    assert n_part < n_whole / 2
    assert any("replicas were simulated" in note for note in part.notes)
    for metric, statistic in (("ttft_s", "p50"), ("ttft_s", "p90"), ("tpot_s", "p90")):
        assert value(part, metric, statistic) == pytest.approx(
            value(whole, metric, statistic), rel=0.05
        )


def test_pools_keep_their_proportions_where_fewer_replicas_stand_for_many() -> None:
    gpus = {"h200-sxm": 960, "h100-sxm": 320, "a100-sxm": 2}
    most = served(gpus=gpus).total["requests_per_s"]
    found = served(gpus=gpus, arrivals_per_s=0.7 * most, requests=200_000)
    assert found.queue is not None
    replicas = {one["pool"]: one["replicas"] for one in found.queue["pools"]}
    assert replicas["h200-sxm"] > 10
    by_h100 = {row["pool"]: row["replicas"] for row in found.pools}
    expected = by_h100["h100-sxm"] / by_h100["h200-sxm"]
    assert replicas["h100-sxm"] / replicas["h200-sxm"] == pytest.approx(expected, rel=0.2)
    # One of the few would stand for more than there are.
    assert replicas["a100-sxm"] == 0
    assert any("Too few replicas to be simulated" in note for note in found.notes)


def test_options_that_would_do_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(hm.ScenarioError) as refused:
        served(variation=2, routing="round-robin", percentile=99)
    for key in ("variation", "routing", "percentile"):
        assert f"{key} must come with arrivals_per_s or trace" in str(refused.value)
    with pytest.raises(hm.ScenarioError, match="percentile must come with ttft_s or tpot_s"):
        served(arrivals_per_s=1, percentile=99)
    path = tmp_path / "trace.csv"
    path.write_text(AZURE)
    with pytest.raises(hm.ScenarioError, match="requests must be absent where trace is given"):
        hm.serve(model="llama3-8b", gpus=GPUS, trace=path, requests=20_000)


def test_requests_that_no_memory_holds_are_told(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(
        AZURE
        + AZURE.partition("\n")[2] * 5000
        + AZURE.splitlines()[1].replace("4808", "9000000")
        + "\n"
    )
    found = hm.serve(model="llama3-8b", gpus=GPUS, trace=path, seed=1)
    assert any("1 requests of the trace are longer than the memory" in one for one in found.notes)


def test_waits_that_have_not_settled_are_told() -> None:
    most = served().total["requests_per_s"]
    found = served(arrivals_per_s=0.995 * most)
    assert any("Waits still change when runs end" in note for note in found.notes)
    calm = served(arrivals_per_s=0.5 * most, requests=1_000_000)
    assert not any("Waits still change" in note for note in calm.notes)


def test_a_trace_is_followed_at_its_rate_or_another(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    at_s = np.cumsum(random.exponential(0.5, 4000)).round(3)
    rows = zip(at_s, random.integers(100, 4000, 4000), random.integers(10, 400, 4000), strict=True)
    path = tmp_path / "trace.csv"
    text = "".join(f"{at},m,{prompt},{answer},0,API log\n" for at, prompt, answer in rows)
    path.write_text("Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n" + text)
    call = {"model": "llama3-8b", "gpus": {"h100-sxm": 2}, "seed": 1}
    found = hm.serve(**call, trace=path)  # type: ignore[arg-type]
    assert found.inputs["arrivals_per_s"] == pytest.approx(2, rel=0.05)
    assert found.inputs["input_tokens"] == pytest.approx(2050, rel=0.05)
    assert found.inputs["trace"]["requests"] == 4000
    assert found.queue is not None
    assert found.queue["runs"] == 1
    assert found.queue["requests"] == 4000
    errors = [row["std_error"] for row in found.queue["summary"] if row["statistic"] == "mean"]
    assert all(error is not None for error in errors)
    faster = hm.serve(**call, trace=path, arrivals_per_s=10)  # type: ignore[arg-type]
    assert value(faster, "requests_per_s") == pytest.approx(10, rel=0.02)
    assert value(faster, "tpot_s") > value(found, "tpot_s")
    # A trace ends, so that more may come than can be served.
    beyond = hm.serve(**call, trace=path, arrivals_per_s=500)  # type: ignore[arg-type]
    assert beyond.queue is not None
    assert any("wait until the trace ends" in note for note in beyond.notes)
    assert any("begins and ends with idle replicas" in note for note in beyond.notes)
    with pytest.raises(hm.ScenarioError) as refused:
        hm.serve(**call, trace=path, input_tokens=5, variation=3, concurrency=2)  # type: ignore[arg-type]
    for key in ("input_tokens", "variation", "concurrency"):
        assert f"{key} must be absent where trace is given" in str(refused.value)


SCENARIO = """
[pools.h100]
gpu = "h100-sxm"
n_gpus = 16
[serving]
model = "llama3-8b"
slo = { ttft_s = 2.0, tpot_s = 0.05, percentile = 99 }
[requests]
"""


def test_a_scenario_names_a_trace_beside_it(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text(AZURE)
    path = tmp_path / "mine.toml"
    path.write_text(SCENARIO + 'trace = "trace.csv"\nrouting = "speed-aware"\n')
    found = hm.serve(path, seed=1)
    assert found.inputs["input_tokens"] == pytest.approx((4808 + 3180 + 110) / 3)
    assert found.inputs["routing"] == "speed-aware"
    path.write_text(SCENARIO + 'trace = "missing.csv"\n')
    with pytest.raises(hm.ScenarioError, match=r"mine.toml: requests.trace cannot be read"):
        hm.serve(path)
    path.write_text(SCENARIO + 'trace = "trace.csv"\noutput_tokens = 5\n')
    with pytest.raises(hm.ScenarioError, match=r"requests\.output_tokens must be absent"):
        hm.serve(path)
    path.write_text(SCENARIO + "arrivals_per_s = 5\n")
    with pytest.raises(hm.ScenarioError) as refused:
        hm.serve(path)
    assert "requests.input_tokens is missing" in str(refused.value)
    assert "requests.output_tokens is missing" in str(refused.value)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("variation = -1", "requests.variation must be >= 0"),
        ("variation = 0.001", "requests.variation must be 0, or >= 0.011"),
        ('routing = "random"', "requests.routing must be round-robin, least-loaded or speed-aware"),
        (
            'trace = "x"\nconcurrency = 4',
            "requests.concurrency must be absent where trace is given",
        ),
        ('trace = "x"\nvariation = 4', "requests.variation must be absent where trace is given"),
        ("trace = 5", "requests.trace must be a string"),
        (
            'arrivals_per_s = 1\noutput_tokens = { name = "pareto", minimum = 9, alpha = 1.5 }',
            "requests.output_tokens.alpha must be",
        ),
    ],
)
def test_what_no_requests_are_is_refused(tmp_path: Path, lines: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    tokens = "input_tokens = 100\n" + ("" if "output" in lines else "output_tokens = 100\n")
    path.write_text(SCENARIO + tokens + lines + "\n")
    with pytest.raises(hm.ScenarioError) as refused:
        hm.serve(path, seed=1)
    assert said in str(refused.value), str(refused.value)


def test_the_command_prints_what_is_seen_under_load() -> None:
    call = ["serve", "--model", "llama3-8b", "--gpus", "8xh100-sxm", "--rate", "20"]
    call += ["--percentile", "99", "--tpot", "0.05", "--seed", "1", "--requests", "20000"]
    found = CliRunner().invoke(cli, call)
    assert found.exit_code == 0, found.output
    assert "under load" in found.stdout
    assert "of requests keep to the limits" in found.stdout
    assert "seed 1" in found.stderr
    plain = CliRunner().invoke(cli, [*call, "--format", "json"])
    table = json.loads(plain.stdout)
    assert table["queue"]["seed"] == 1
    assert table["queue"]["slo"]["percentile"] == 99
    wrong = CliRunner().invoke(cli, [*call, "--requests", "5", "--variation", "-1"])
    assert isinstance(wrong.exception, hm.ScenarioError)
    # By the names of the options.
    assert "--variation must be 0, or >= 0.011" in str(wrong.exception)
    assert "--requests must be an integer from 10000" in str(wrong.exception)
