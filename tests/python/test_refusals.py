"""Messages of refusals: key, value, what is allowed, and the file that set it."""

import re
from pathlib import Path
from typing import Any

import pytest

import hindmost as hm
from hindmost.scenario import from_table

NO_PATH = 'is not a key path of this scenario; did you mean "workload.seq_len"?'
NO_KEY = "is not a known key; did you mean"

# What is said of the key that the line sets.
KEYS = {
    "pools.h100.n_gpus = 0": "must be >= 1, got 0",
    "pools.h100.n_gpus = -8": "must be >= 1, got -8",
    "pools.h100.n_gpus = 7": "must be >= 8, a tensor group, got 7",
    "pools.h100.n_gpus = 2147483648": "must be < 2147483648, got 2147483648",
    "pools.h100.n_gpus = 1000.0": "must be an integer, got 1000.0",
    "pools.h100.n_gpus = true": "must be an integer, got true",
    'pools.h100.n_gpus = "8"': 'must be an integer, got "8"',
    "pools.h100.software_efficiency = 1.5": "must be <= 1, got 1.5",
    "pools.h100.kernel_efficiency = -0.5": "must be > 0, got -0.5",
    'pools.h100.gpu = "h100"': "must be one of the catalogue's gpus, "
    'got "h100"; did you mean "h100-nvl", "h100-pcie" or "h100-sxm"?',
    "pools.h100.n_gpu = 8": f'{NO_KEY} "n_gpus"?',
    "pools.h100.smoothing = 0.5": "must be a table, got 0.5",
    "pools.h100.smoothing.floor = 1.5": "must be <= 1, got 1.5",
    "pools.h100.smoothing.up_w_per_s = -0.5": "must be >= 0, got -0.5",
    "pools.h100.smoothing.down_w_per_s = inf": "must be finite, got inf",
    "pools.h100.smoothing.hysteresis_ms = 8": f'{NO_KEY} "hysteresis_s"?',
    "pools.h100.smoothing.seconds_per_transition = -1.5": "must be >= 0, got -1.5",
    "pools.h100.smoothing.failures_per_transition = 1.5": "must be <= 1, got 1.5",
    "pools.h100.power_cap_w = 0": "must be > 0, got 0",
    "pools.h100.clock_exponent = -0.5": "must be >= 0, got -0.5",
    "pools.h100.power_aware = 1": "must be true or false, got 1",
    "pools.h100 = 8": "must be a table, got 8; [pools.NAME] holds such keys",
    "pool = 8": f'{NO_KEY} "pools"?',
    "name = 8": "must be a string, got 8",
    'name = ""': 'must have 1 to 200 characters, got ""',
    'fabric.name = "infiniband"': "must be one of the catalogue's fabrics, "
    'got "infiniband"; did you mean "infiniband-ndr" or "infiniband-xdr"?',
    "fabric.latency_s = -0.5": "must be >= 0, got -0.5",
    "fabric.latency_s = inf": "must be finite, got inf",
    "fabric.latency = 0.5": f'{NO_KEY} "latency_s"?',
    'fabric.noise.affects = "compute"': 'must be network, got "compute"',
    "fabric.noise.probabilty = 0.5": f'{NO_KEY} "probability"?',
    "fabric.noise.law.sigm = 0.5": f'{NO_KEY} "sigma"?',
    'workload.model = "llama3-70"': "must be one of the catalogue's models, "
    'got "llama3-70"; did you mean "llama3-70b"?',
    "workload.seq_len = 2023-02-03": "must be an integer, got 2023-02-03",
    "workload.microbatch_seqs = 0": "must be >= 1, got 0",
    "workload.n_microbatches = 99999999999": "must be < 2147483648, got 99999999999",
    "workload.global_batch_seqs = 255": "must be a multiple of 256, "
    "the replicas times workload.microbatch_seqs, got 255; 256 would do, "
    'or workload.uneven_batch = "sequences"',
    "workload.overhead_s = nan": "must be finite, got nan",
    'workload.overhead_s = "1 s"': 'must be a number, got "1 s"',
    'workload.dtype = "fp4"': 'must be one that pool h100 (h100-sxm) has a peak for, got "fp4"',
    'workload.recompute = "ful"': 'must be none, selective or full, got "ful"; '
    'did you mean "full"?',
    "workload.seqlen = 8": f'{NO_KEY} "seq_len"?',
    "layout.tensor = 0": "must be >= 1, got 0",
    "layout.tensor = 3": "must divide the 64 heads of llama3-70b, got 3",
    "layout.tensor = 16": "must be <= 8, the domain of pool h100 (h100-sxm), got 16",
    "layout.tensr = 8": f'{NO_KEY} "tensor"?',
    "layout.chunks = 2": 'must be 1 unless layout.schedule is "interleaved", got 2',
    "layout.expert = 2": "must be 1: llama3-70b has no experts, got 2",
    'layout.sharding = "zero4"': 'must be none, zero1, zero2, zero3 or hybrid, got "zero4"; '
    'did you mean "zero3"?',
    'layout.schedule = "dualpipe"': "must be gpipe, 1f1b, interleaved or zero-bubble, "
    'got "dualpipe"; did you mean "gpipe"?',
    'layout.placement = "spread"': 'must be aligned or mixed, got "spread"',
    'collective.algorithm = "torus"': 'must not be torus: infiniband-ndr has switches, got "torus"',
    'collective.latency = "nccl"': 'must be "hops" unless collective.algorithm is ring, '
    'tree or pat, got "nccl"',
    "fabric.shape = [4, 4]": "must be absent: infiniband-ndr is no torus, got [4, 4]",
    "collective.n_bucket = 8": f'{NO_KEY} "n_buckets"?',
    "collective.overlap_fraction = 1.5": "must be <= 1, got 1.5",
    "causes.stall.enabled = 1": "must be true or false, got 1",
    "causes.stall.probability = 1.5": "must be <= 1, got 1.5",
    "causes.stall.probability = -inf": "must be finite, got -inf",
    'causes.stall.scope = "gpus"': "must be gpu, node, domain, rack, replica, pool or cluster, "
    'got "gpus"; did you mean "gpu"?',
    'causes.stall.span = "month"': "must be run, drift, episode, step, microbatch or layer, "
    'got "month"',
    "causes.stall.pools = []": "must name at least one pool",
    'causes.stall.pools = ["h10"]': "must name pools of this scenario, "
    'got "h10"; did you mean "h100"?',
    "causes.stall.probabilty = 0.5": f'{NO_KEY} "probability"?',
    'causes.stall.law = "lognormal"': 'must be a table, got "lognormal"',
    "causes.stall.law.men = 0.5": f'{NO_KEY} "mean"?',
    "unknowns = 8": "must be a table, got 8",
    "basis = 8": "must be a table, got 8",
    'not_modelled = "rain"': 'must be a list, got "rain"',
}

# What is said of another key than the one that the lines set.
ELSEWHERE = {
    'causes.stall.scope = "rack"': "h100-1k: pools.h100.rack_gpus is missing, "
    "and causes.stall has scope rack",
    'causes.stall.pools = ["H100"]': "mine.toml: causes.stall.pools.0 "
    'must have a name of a-z, 0-9 and - only, got "H100"',
    'pools."h 1" = { gpu = "h100-sxm", n_gpus = 8 }': "mine.toml: pools.h 1 "
    'must have a name of a-z, 0-9 and - only, got "h 1"',
    "workload.n_microbatches = 1\nworkload.global_batch_seqs = 256": "mine.toml: "
    "workload.global_batch_seqs must be absent where workload.n_microbatches is given, got 256",
    'layout.sharding = "none"\nlayout.shard_group_replicas = 16': "mine.toml: "
    'layout.shard_group_replicas must be absent where layout.sharding is "none", got 16',
    'fabric.hop_noise = { name = "pareto", alpha = 1.5 }': "mine.toml: fabric.hop_noise.alpha "
    "must be > 2, or the law must have a cap, because its variance is infinite, got 1.5",
    'unknowns."workload.seqlen" = { name = "constant", value = 1 }': "mine.toml: "
    f"unknowns.workload.seqlen {NO_PATH.replace('a key path', 'the key path of a number')}",
    'unknowns."workload.seq_len" = { name = "constant", valu = 1, value = 1 }': "mine.toml: "
    f'unknowns.workload.seq_len.valu {NO_KEY} "value"?',
    'unknowns."workload.seq_len" = { name = "uniform", low = 2.5, high = 1.5 }': "mine.toml: "
    "unknowns.workload.seq_len.high must be finite and > low (2.5), got 1.5",
    'basis."workload.seqlen" = { kind = "assumed", where = "x" }': "mine.toml: "
    f"basis.workload.seqlen {NO_PATH}",
    'basis.layout = { kind = "assumed", wher = "x", where = "x" }': "mine.toml: "
    f'basis.layout.wher {NO_KEY} "where"?',
    '"[key]" = 8': "mine.toml: [key] is not a known key; there is name, pools, fabric, gpus, "
    "fabrics, models, workload, layout, collective, serving, requests, economics, causes, "
    "failures, recovery, checkpoint, ideal, slices, unknowns, basis, not_modelled",
}

# What is said of a law, after `causes.own.law.`.
LAWS = {
    '{ name = "constant", value = -0.5 }': "value must be finite and > 0, got -0.5",
    '{ name = "constant", value = nan }': "value must be finite and > 0, got nan",
    '{ name = "lognormal", sigma = -0.2 }': "sigma must be finite and >= 0, got -0.2",
    '{ name = "lognormal", sigma = 0.1, median = -0.5 }': "median must be finite and > 0, got -0.5",
    '{ name = "lognormal", sigma = 0.1, cap = nan }': "cap must be finite and > 0, got nan",
    '{ name = "lognormal", sigma = 0.1, cap = 0.3 }': "cap must be > 0.4003046578038136, "
    "the least number of the law, got 0.3",
    '{ name = "lognormal", sigma = "0.1" }': 'sigma must be a number, got "0.1"',
    '{ name = "lognormal" }': "sigma is missing",
    '{ name = "lognorm" }': 'name must be the name of a law, got "lognorm"; '
    'did you mean "lognormal"?',
    "{ sigma = 0.1 }": "name is missing; there is constant, lognormal, exponential, gamma, "
    "weibull, normal, pareto, uniform, log-uniform, empirical, tabulated, mixture",
    '{ name = "exponential", mean = -0.5 }': "mean must be finite and > 0, got -0.5",
    '{ name = "exponential", mean = 1, shift = -0.5 }': "shift must be finite and >= 0, got -0.5",
    '{ name = "gamma", shape = 10000.5 }': "shape must be > 0 and <= 10000; above, "
    "use a lognormal law with sigma = 1 / sqrt(shape), got 10000.5",
    '{ name = "gamma", shape = 2, scale = -0.5 }': "scale must be finite and > 0, got -0.5",
    '{ name = "pareto", alpha = -0.5 }': "alpha must be finite and > 0, got -0.5",
    '{ name = "pareto", alpha = 1.5 }': "alpha must be > 2, or the law must have a cap, "
    "because its variance is infinite, got 1.5",
    '{ name = "uniform", low = -0.5, high = 1 }': "low must be finite and >= 0, got -0.5",
    '{ name = "uniform", low = 2.5, high = 1.5 }': "high must be finite and > low (2.5), got 1.5",
    '{ name = "log-uniform", low = -0.5, high = 1 }': "low must be finite and > 0, got -0.5",
    '{ name = "log-uniform", low = 2.5, high = 2.5 }': "high must be finite and > low (2.5), "
    "got 2.5",
    '{ name = "empirical", samples = [1.5] }': "samples must be a list of 2 to 1048576 numbers, "
    "got 1",
    '{ name = "empirical", samples = [1.5, nan] }': "samples.1 must be finite and > 0, got nan",
    '{ name = "tabulated", lower = [1.5], upper = [1.5] }': "lower must be a list of 64 bins + 1 "
    "quantiles, with 32, 64, 128, 256 or 512 bins, got 1",
}

ONE = '{ name = "constant", value = 1 }'
HALVES = f"{{ weight = 0.5, law = {ONE} }}, {{ weight = 0.5, law = "
INNER = '{ weight = 1, law = { name = "mixture", components = '
NESTED = "components.0.law.components must be absent: a component cannot be a mixture, "
NESTED += "list its laws beside the others, got"

# What is said of a mixture with these components, after `causes.own.law.`.
MIXTURES = {
    "": "components must be a list of 1 to 16 laws with weights, got 0",
    f"{{ weight = 0.5, law = {ONE} }}": "components must be laws "
    "whose weights add up to 1, got 0.5",
    f"{{ weight = -0.5, law = {ONE} }}": "components.0.weight must be > 0 and <= 1, got -0.5",
    f"{{ weight = 1, law = {ONE}, wight = 1 }}": f'components.0.wight {NO_KEY} "weight"?',
    HALVES + '{ name = "constant" } }': "components.1.law.value is missing",
    HALVES + '{ name = "lognormal", sigma = -0.2 } }': "components.1.law.sigma "
    "must be finite and >= 0, got -0.2",
    HALVES + '{ name = "pareto", alpha = 1.5 } }': "components.1.law.alpha must be > 2, "
    "or the law must have a cap, because its variance is infinite, got 1.5",
    HALVES + '{ name = "empirical", samples = [1, 2], tail_alpha = 2.5, cap = 8 } }': "components.1"
    ".law.tail_alpha must be absent: samples with a tail are a mixture by themselves, "
    "which cannot be a component of another one, got 2.5",
    INNER + f"[{HALVES}{ONE} }}] }} }}": f"{NESTED} 2",
    INNER + f"[{{ weight = 1, law = {ONE} }}] }} }}": f"{NESTED} 1",
}


# FNV-1a-32 of "h100/NAME/value" is the same for both.
COLLIDING = ("cooling-irq-numa-hot", "pause-fan-drift")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def said_of(path: str) -> str:
    """Return what is said of a scenario that must not load."""
    with pytest.raises(hm.ScenarioError) as caught:
        hm.load(path)
    return str(caught.value)


def mine(text: str) -> str:
    """Write lines to mine.toml, over a preset, and return its path."""
    Path("mine.toml").write_text(f'extends = ["h100-1k"]\n{text}\n')
    return "mine.toml"


def said(text: str) -> str:
    """Return what is said of lines in mine.toml."""
    return said_of(mine(text))


def own(law: str, *, name: str = "own", rest: str = "") -> str:
    """Return the line that makes a cause with a law."""
    usual = 'affects = "compute", effect = "slowdown", scope = "gpu", span = "step"'
    return f"causes.{name} = {{ law = {law}, {usual}{rest} }}"


def said_by_simulate(text: str) -> str:
    """Return what is said at the start of a simulation of lines in mine.toml."""
    path = mine(text)
    with pytest.raises(hm.ScenarioError) as caught:
        hm.simulate(path, steps=1, runs=1, seed=0)
    return str(caught.value)


@pytest.mark.parametrize(("line", "message"), KEYS.items(), ids=list(KEYS))
def test_a_wrong_key_is_named_with_its_value_and_what_would_do(line: str, message: str) -> None:
    assert said(line) == f"mine.toml: {line.partition(' = ')[0]} {message}"


@pytest.mark.parametrize(("lines", "message"), ELSEWHERE.items(), ids=list(ELSEWHERE))
def test_a_problem_is_named_where_it_lies(lines: str, message: str) -> None:
    assert said(lines) == message


@pytest.mark.parametrize(("law", "message"), LAWS.items(), ids=list(LAWS))
def test_a_law_out_of_its_domain_is_refused(law: str, message: str) -> None:
    assert said(own(law)) == f"mine.toml: causes.own.law.{message}"


@pytest.mark.parametrize(("components", "message"), MIXTURES.items(), ids=list(MIXTURES))
def test_a_mixture_is_refused_with_the_path_of_its_component(components: str, message: str) -> None:
    law = f'{{ name = "mixture", components = [{components}] }}'
    assert said(own(law)) == f"mine.toml: causes.own.law.{message}"


@pytest.mark.parametrize(
    ("law", "keys"),
    [
        ('{ name = "constant", value = 1e300 }', {"value"}),
        ('{ name = "constant", value = 1e-300 }', {"value"}),
        ('{ name = "exponential", mean = 1e300 }', {"mean", "shift"}),
        ('{ name = "uniform", low = 0, high = 1e300 }', {"high"}),
        ('{ name = "empirical", samples = [1, 1e300] }', {"samples", "samples.1"}),
        ('{ name = "lognormal", sigma = 0.1, median = 1e300 }', {"median"}),
        ('{ name = "gamma", shape = 1e-300 }', {"shape"}),
    ],
)
def test_a_law_beyond_f32_is_refused_by_the_parameter_that_leads_there(
    law: str, keys: set[str]
) -> None:
    path = said(own(law)).removeprefix("mine.toml: causes.own.law.").partition(" ")[0]
    assert path in keys


@pytest.mark.parametrize(
    ("law", "value"),
    [
        ('{ name = "lognormal", sigma = X }', "50.5"),
        ('{ name = "gamma", shape = X }', "0.25"),
        ('{ name = "pareto", alpha = X, minimum = 1e30 }', "2.01"),
    ],
)
def test_the_bound_that_a_refusal_names_is_allowed(law: str, value: str) -> None:
    found = re.search(r"must be [<>]= ([\d.]+),", said(own(law.replace("X", value))))
    assert found
    hm.load(mine(own(law.replace("X", found[1]))))


def test_a_law_with_a_cap_may_have_an_infinite_variance() -> None:
    law = own('{ name = "pareto", alpha = 1.5, cap = 2 }')
    assert hm.load(mine(law)).causes["own"].law.cap == 2


def test_a_key_named_like_a_law_is_a_key_like_any_other() -> None:
    pool = '{ gpu = "h100-sxm", n_gpus = 8, n_gpu = 8 }'
    assert said(f"pools.constant = {pool}") == f'mine.toml: pools.constant.n_gpu {NO_KEY} "n_gpus"?'
    message = "mine.toml: causes.law.gamma is not a known key"
    assert said(own(ONE, name="law", rest=", gamma = 1")).startswith(message)


def test_choices_are_listed_once() -> None:
    assert said('causes.stall.scope = "universe"').count("cluster") == 1


def test_a_cause_that_is_switched_off_by_a_wrong_name_is_answered_with_the_right_one() -> None:
    assert 'did you mean "gpu-speed"?' in said("causes.gpu-sped.enabled = false")


@pytest.mark.parametrize(
    ("table", "lines", "paths"),
    [
        ("unknowns", f"workload.n_microbatches = {ONE}", ["workload.n_microbatches"]),
        ("unknowns", f"causes.stall.law.mean = {ONE}", ["causes.stall.law.mean"]),
        ("unknowns", f"a.b = {ONE}\na.c = {ONE}\nd.e = {ONE}", ["a.b", "a.c", "d.e"]),
        (
            "basis",
            'collective.n_buckets = { kind = "assumed", where = "x" }',
            ["collective.n_buckets"],
        ),
    ],
)
def test_a_key_path_without_quotation_marks_is_told_to_have_them(
    table: str, lines: str, paths: list[str]
) -> None:
    message = said(f"[{table}]\n{lines}")
    assert message.splitlines() == [
        f"mine.toml: {table}.{path} must be one key, in quotation marks; "
        f'write "{path}" = ... under [{table}]'
        for path in paths
    ]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ('pools.h100.gpu = "H100-SXM"', 'did you mean "h100-sxm"?'),
        ('workload.model = "Llama3-70B"', 'did you mean "llama3-70b"?'),
        ('workload.recompute = "FULL"', 'did you mean "full"?'),
        ("workload.SEQ_LEN = 8", 'did you mean "seq_len"?'),
        ('layout.sharding = "fsdp"', '"zero3" shards over all replicas as FSDP does'),
        ('layout.sharding = "FSDP2"', '"zero3" shards over all replicas as FSDP does'),
        ('layout.sharding = "hsdp"', '"hybrid" shards within groups'),
        ('layout.sharding = "ddp"', '"none" keeps all states on each GPU'),
    ],
)
def test_a_name_from_elsewhere_or_in_capitals_is_answered_with_ours(line: str, hint: str) -> None:
    assert hint in said(line)


def test_a_file_of_the_name_is_offered() -> None:
    mine("")
    assert said_of("mine").endswith('did you mean "mine.toml"?')
    assert said_of("H100-1K").endswith('did you mean "h100-1k"?')
    Path("folder").mkdir()
    Path("folder/base.toml").touch()
    Path("folder/top.toml").write_text('extends = ["base"]')
    with pytest.raises(hm.ScenarioError, match=r'did you mean "base.toml"\?'):
        hm.load("folder/top.toml")


def test_what_a_terminal_would_obey_is_escaped() -> None:
    message = said('pools.h100.gpu = "a\\nb\\u001b[31m"')
    assert "\n" not in message
    assert "\x1b" not in message


def test_the_cause_named_like_the_fabrics_noise_is_refused() -> None:
    hint = "it is the address of fabric.noise; choose another name"
    message = f"mine.toml: causes.fabric-noise must not be a cause; {hint}"
    assert said(own(ONE, name="fabric-noise")) == message


def test_a_scenario_without_tables_lacks_what_has_no_default() -> None:
    Path("bare.toml").write_text("")
    lines = [f"bare.toml: {key} is missing" for key in ("pools", "fabric", "workload")]
    assert said_of("bare.toml") == "\n".join(lines)


def test_a_cluster_without_pools_and_a_job_without_a_batch_are_refused() -> None:
    workload = 'model = "llama3-70b"\nseq_len = 8192\nmicrobatch_seqs = 2'
    fabric = '[fabric]\nname = "roce-400g"'
    Path("bare.toml").write_text(f"[pools]\n{fabric}\n[workload]\n{workload}\n[layout]\n")
    assert said_of("bare.toml").splitlines() == [
        "bare.toml: pools must hold at least one pool",
        "bare.toml: workload.n_microbatches is missing; or give workload.global_batch_seqs",
    ]


def test_pools_that_are_too_many_together_are_refused() -> None:
    half = '{ gpu = "h100-sxm", n_gpus = 1_073_741_824 }'
    message = "pools must hold fewer than 2,147,483,648 GPUs together, got 2147484672"
    assert said(f"pools.a = {half}\npools.b = {half}") == f"mine.toml: {message}"


def test_the_hybrid_layout_needs_a_shard_group() -> None:
    table = hm.load("h100-1k").model_dump(mode="json", exclude_none=True)
    del table["layout"]["shard_group_replicas"]
    with pytest.raises(hm.ScenarioError) as caught:
        from_table(table, "that.parquet")
    key = "that.parquet: layout.shard_group_replicas"
    assert str(caught.value) == f'{key} is missing where layout.sharding is "hybrid"'


def test_the_layer_that_set_a_wrong_path_is_named() -> None:
    basis = '{ kind = "assumed", where = "x" }'
    lower = f'unknowns."workload.low" = {ONE}\nbasis."workload.low" = {basis}\n'
    Path("low.toml").write_text(f'extends = ["h100-1k"]\n{lower}')
    upper = f'unknowns."workload.seq_len" = {ONE}\nbasis."workload.seq_len" = {basis}\n'
    Path("top.toml").write_text(f'extends = ["low.toml"]\n{upper}')
    lines = said_of("top.toml").splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["low.toml:", f"{table}.workload.low"] for table in ("unknowns", "basis")
    ]


def test_a_wrong_table_of_a_lower_layer_is_not_forgotten() -> None:
    Path("low.toml").write_text('basis = 8\nextends = ["h100-1k"]\n')
    Path("top.toml").write_text('extends = ["low.toml"]\nworkload.seq_len = 4096\n')
    assert said_of("top.toml") == "low.toml: basis must be a table, got 8"


def test_a_cause_has_all_its_problems_at_once() -> None:
    lines = "causes.stall.correlation = 1\ncauses.stall.trend_per_hour = -1\n"
    assert len(said(lines + "causes.stall.probability = 2").splitlines()) == 3


def test_a_cause_of_a_rate_has_all_problems_of_another_span_at_once() -> None:
    assert said('causes.stall.span = "layer"').splitlines() == [
        "measured: causes.stall.per_hour must be left out where span is layer, got 0.0144; "
        "give probability, that of one draw",
        'mine.toml: causes.stall.span must not be layer where effect is stall, got "layer"',
    ]


def test_a_rate_and_a_probability_of_one_layer_do_not_go_together() -> None:
    assert said("causes.stall = { probability = 0.1, per_hour = 1 }") == (
        "mine.toml: causes.stall.per_hour must be left out where probability is given, got 1; "
        "probability is that of one draw, and per_hour becomes one of a step"
    )


def test_what_takes_two_fields_is_named_at_once() -> None:
    lines = 'layout.tensor = 16\nworkload.global_batch_seqs = 255\ncauses.stall.pools = ["x"]'
    paths = [line.split()[1] for line in said(lines).splitlines()]
    assert paths == ["layout.tensor", "causes.stall.pools"]


def test_memory_that_does_not_fit_is_refused_with_what_is_missing() -> None:
    message = "layout needs 146 GB a GPU, 60.4 GB more than the 85.5 GB of pool h100 (h100-sxm); "
    message += "shard over more ranks, raise layout.tensor or layout.pipeline, or recompute more"
    assert said_by_simulate("layout.shard_group_replicas = 1").endswith(f": {message}")


def test_causes_that_would_share_random_numbers_are_refused() -> None:
    both = "\n".join(own(ONE, name=name) for name in COLLIDING)
    streams = " and ".join(f"h100/{name}/value" for name in COLLIDING)
    message = f"causes must not hold both {streams}: their random numbers are the same; "
    assert said_by_simulate(both).endswith(f": {message}rename one of the causes or pools")


@pytest.mark.parametrize(
    "lines",
    [
        "layout.shard_group_replicas = 1",
        "workload.overhead_s = 1e300",
        "\n".join(own(ONE, name=name) for name in COLLIDING),
    ],
    ids=["memory", "endless step", "colliding causes"],
)
def test_what_only_a_plan_shows_is_told_with_the_file(lines: str) -> None:
    assert said_by_simulate(lines).startswith("mine.toml: ")


def test_factors_that_f32_cannot_hold_together_are_refused() -> None:
    huge = '{ name = "constant", value = 1e30 }'
    lines = "\n".join(own(huge, name=name) for name in ("one", "two"))
    assert said_by_simulate(lines).startswith("mine.toml: causes")


def test_a_wrong_call_is_refused_with_all_its_problems() -> None:
    guess: Any = "guess"
    with pytest.raises(hm.ScenarioError) as caught:
        hm.simulate("h100-1k", steps=0, runs=65_537, seed=-1, threads=True, method=guess)
    assert str(caught.value).splitlines() == [
        "steps must be an integer from 1 to 4294967295, got 0",
        "runs must be an integer from 1 to 65536, got 65537",
        "seed must be an integer from 0 to 18446744073709551615, got -1",
        "threads must be an integer from 1 to 1024, got true",
        'method must be one of auto, order-statistics, sample, got "guess"',
    ]
