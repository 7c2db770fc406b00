"""A second engine, written from docs/reproducibility.md in NumPy, that must find the same numbers.

Only the values of tables come from the core, which rounds a rank's products to float32;
here they are float64. The base and some two operations are each off by half an ulp to one,
so that the result is within 2 ulp unless all errors are at their greatest and of one sign.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

import hindmost as hm
from hindmost import _core, catalog
from hindmost.cause import Cause
from hindmost.plan import make_plan

Floats = NDArray[np.float64]
Counts = NDArray[np.uint64]
Places = NDArray[np.intp]
Changes = dict[str, Any]
Load = Callable[[Changes], hm.Scenario]

SEED = 0x1D872B41_9E3779B9
RUN = 3
STEPS = (10, 0, 1, 2, 3, 5, 4_000_000_003)
ROWS = 24
HALF, LOW = np.uint64(32), np.uint64(2**32 - 1)
MAX_ULP = 2.0
USES = ("value", "refine")
"""Uses of the words that a value comes from."""

BARE = """
fabric = { name = "roce-400g-shared" }
collective = { n_buckets = 80, overlap_fraction = 0.9 }
[workload]
model = "llama3-70b"
seq_len = 4096
microbatch_seqs = 1
n_microbatches = 2
recompute = "full"
overhead_s = 0.05
"""
H100 = {"gpu": "h100-sxm", "n_gpus": 44, "rack_gpus": 12}
GB200 = {"gpu": "gb200-nvl72", "n_gpus": 150, "rack_gpus": 40, "software_efficiency": 0.44}
LAYOUT = {"tensor": 8, "sharding": "hybrid", "shard_group_replicas": 16}
TWO_POOLS = {"pools": {"h100": H100, "gb200": GB200}, "layout": LAYOUT}

SCOPES = ("gpu", "node", "domain", "rack", "replica", "pool", "cluster")
STALL = {"name": "exponential", "mean": 0.3, "shift": 0.02}
EMPIRICAL = {"name": "empirical", "samples": [1.0, 1.01, 1.3, 1.02]}


def lognormal(sigma: float, **fields: Any) -> dict[str, Any]:
    return {"name": "lognormal", "sigma": sigma, **fields}


PARTS = {
    0.5: lognormal(0.02),
    0.3: {"name": "gamma", "shape": 3.0, "scale": 0.5},
    0.2: {"name": "constant", "value": 1.7},
}
MIXTURE = {"name": "mixture", "components": [{"weight": w, "law": x} for w, x in PARTS.items()]}


def cause(law: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a cause of scope gpu and span step, where nothing else is said."""
    default = {"affects": "compute", "effect": "slowdown", "scope": "gpu", "span": "step"}
    return {"law": law, **default, **fields}


RESIDUAL: Changes = {"causes.residual": cause(lognormal(0.01))}


@pytest.fixture
def load(tmp_path: Path) -> Load:
    path = tmp_path / "bare.toml"
    path.write_text(BARE)
    return lambda changes: hm.load(path, {**TWO_POOLS, **changes})


def philox(seed: int, *counter: Any) -> Counts:
    """Return Philox4x32-10 blocks, the last axis their four words."""
    key = [np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32)]
    c = [np.asarray(word, dtype=np.uint64) for word in np.broadcast_arrays(*counter)]
    for _ in range(10):
        first, second = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c[0], c[1] = (second >> HALF) ^ c[1] ^ key[0], second & LOW
        c[2], c[3] = (first >> HALF) ^ c[3] ^ key[1], first & LOW
        steps = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))
        key = [(word + step) & LOW for word, step in zip(key, steps, strict=True)]
    return np.stack(c, axis=-1)


def fnv1a(text: str) -> int:
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def words(stream: str, span: str, units: Counts, steps: Sequence[int]) -> Counts:
    """Return the words of a stream, one row a step."""
    at = [0 if span == "run" else step for step in steps]
    blocks = [philox(SEED, units, step // 4, RUN << 16, fnv1a(stream)) for step in at]
    return np.array([block[:, step % 4] for block, step in zip(blocks, at, strict=True)])


def is_below(at: Counts, probability: float) -> NDArray[np.bool_]:
    """Compare 64 bits with a probability, in integers."""
    threshold = int(probability * 2.0**64)
    return at < np.uint64(threshold) if threshold < 2**64 else np.ones(at.shape, dtype=bool)


def innovations(stream: str, units: Counts, step: int) -> Floats:
    """Return the normal numbers of the words of a step."""
    value, refine = (words(f"{stream}/{use}", "step", units, [step])[0] for use in USES)
    is_lower = value < 2**31
    magnitude = np.where(is_lower, value, LOW - value)
    bits = ((magnitude << HALF) | refine).astype(np.float64)
    tail = np.where(
        magnitude < 2**16, (bits + 0.5) * 2.0**-64, (magnitude.astype(np.float64) + 0.5) * 2.0**-32
    )
    numbers: Floats = special.ndtri(tail) * np.where(is_lower, 1.0, -1.0)
    return numbers


def drifted(stream: str, rho: float, units: Counts, steps: Sequence[int]) -> tuple[Counts, Counts]:
    """Return the words of what drifts, and their further bits, one row a step."""
    apart = 1
    while rho**apart >= 2.0**-54:
        apart *= 2
    known: dict[int, Floats] = {}

    def number(step: int) -> Floats:
        if step not in known:
            known[step] = innovations(stream, units, step)
            if step % apart:
                half = step & -step
                r = rho**half
                sum_ = number(step - half) + number(step + half)
                own = math.sqrt((1 - r**2) / (1 + r**2))
                known[step] = r / (1 + r**2) * sum_ + own * known[step]
        return known[step]

    found = []
    for step in steps:
        if step % apart == 0:
            found.append([words(f"{stream}/{use}", "step", units, [step])[0] for use in USES])
            continue
        x = number(step)
        bits = np.minimum(special.ndtr(-np.abs(x)) * 2.0**64, 2.0**63 - 1024).astype(np.uint64)
        magnitude = bits >> HALF
        found.append([np.where(x < 0, magnitude, LOW - magnitude), bits & LOW])
    value, refine = np.array(found).swapaxes(0, 1)
    return value, refine


class Replay:
    """A scenario, and its numbers as docs/reproducibility.md says that they come about."""

    def __init__(self, scenario: hm.Scenario) -> None:
        self.scenario = scenario
        self.plan = make_plan(scenario)

    def units(self, pool: str, scope: str) -> Counts:
        """Return, for each rank of a pool, its unit: ranks fill replicas of full domains."""
        this, tensor = self.scenario.pools[pool], self.scenario.layout.tensor
        gpu = catalog.gpu(this.gpu)
        filled = np.arange(gpu.domain_gpus // tensor * tensor)
        domains = np.arange(this.n_gpus // gpu.domain_gpus)[:, np.newaxis]
        gpus = (domains * gpu.domain_gpus + filled).ravel()
        units = {
            "gpu": gpus,
            "node": gpus // gpu.node_gpus,
            "domain": gpus // gpu.domain_gpus,
            "rack": gpus // (this.rack_gpus or 1),
            "replica": np.arange(gpus.size) // tensor,
        }
        return units.get(scope, np.zeros_like(gpus)).astype(np.uint64)

    def draws(self, name: str, this: Cause, pool: str, steps: Sequence[int]) -> Floats:
        """Return one number a step and rank, neutral where the cause does not occur."""
        units = self.units(pool, this.scope)
        stream = f"{'' if this.scope == 'cluster' else pool}/{name}"
        value, refine, occurrence, choice = (
            words(f"{stream}/{use}", this.span, units, steps)
            for use in ("value", "refine", "occurrence", "component")
        )
        if this.correlation_s is not None:
            rho = math.exp(-self.plan.noiseless_step_s / this.correlation_s)
            value, refine = drifted(stream, rho, units, steps)
        probability = this.probability_in(self.plan.noiseless_step_s)
        occurs = is_below((occurrence << HALF) | refine, probability)
        at = (choice << HALF) | refine
        law = this.law.model_dump(exclude_none=True)
        components = law.get("components", [{"weight": 1.0, "law": law}])
        drawn = np.full(at.shape, 1.0 if this.effect == "slowdown" else 0.0)
        weight = 1.0
        for component in reversed(components):
            table = _core.Law(component["law"])
            flat = table.values(value.ravel().astype(np.uint32), refine.ravel().astype(np.uint32))
            numbers = np.minimum(flat.reshape(at.shape), np.float32(law.get("cap", np.inf)))
            drawn = np.where(occurs & is_below(at, weight), numbers, drawn)
            weight -= component["weight"]
        return drawn

    def disturbed(self, affects: str, pool: str, steps: Sequence[int]) -> tuple[Floats, Floats]:
        """Return the product of slowdowns and the sum of stalls, by step and rank."""
        causes = dict(self.scenario.enabled_causes)
        if self.scenario.noise is not None:
            causes["fabric-noise"] = self.scenario.noise
        shape = (len(steps), self.units(pool, "gpu").size)
        slowdown, stall = np.ones(shape), np.zeros(shape)
        for name, this in causes.items():
            if this.affects == affects and pool in (this.pools or self.scenario.pools):
                drawn = self.draws(name, this, pool, steps)
                slowdown *= drawn if this.effect == "slowdown" else 1.0
                stall += drawn if this.effect == "stall" else 0.0
        return slowdown, stall

    def times(self, steps: Sequence[int]) -> tuple[Floats, Floats, Places]:
        """Return each rank's time and its stalls in some steps, and each rank's pool."""
        times, stalls, pools = [], [], []
        for index, pool in enumerate(self.plan.pools):
            slowdown, stall = self.disturbed("compute", pool.name, steps)
            times.append(pool.compute.step_s * slowdown + stall)
            stalls.append(stall)
            pools.append(np.full(stall.shape[1], index))
        return np.hstack(times), np.hstack(stalls), np.hstack(pools)

    def exposed(self, own_s: Floats, pools: Places) -> Floats:
        """Return the seconds of collectives that each rank's computing would leave bare.

        A stall of the network is the last term's; docs/model.md says so, and
        only a step of one term is tested with one.
        """
        steps = range(len(own_s))
        network = [self.disturbed("network", pool.name, steps) for pool in self.plan.pools]
        n_buckets = self.scenario.collective.n_buckets or 1
        terms = list(zip(*(pool.terms for pool in self.plan.pools), strict=True))
        exposed = np.zeros_like(own_s)
        for number, same_phase in enumerate(terms, start=1):
            took, share = np.zeros(len(own_s)), []
            for pool, own, (slow, stall) in zip(self.plan.pools, same_phase, network, strict=True):
                fixed = own.cost.latency_s + own.cost.scale_up_s
                member = fixed + own.cost.transfer_s * slow.max(axis=1)
                took = np.maximum(took, member + (number == len(terms)) * stall.max(axis=1))
                share.append(own.window_s / pool.compute.step_s)
            # By step and rank; what terms take is by step.
            window = self.scenario.collective.overlap_fraction * np.array(share)[pools] * own_s
            exposed += np.maximum(took / n_buckets, took - window.T).T
        return exposed


def check_rank_times(scenario: hm.Scenario, steps: Sequence[int] = STEPS) -> NDArray[np.float32]:
    """Assert that `rank_times` has our numbers, and return them."""
    expected = Replay(scenario).times(steps)[0]
    times = hm.rank_times(scenario, seed=SEED, run=RUN, steps=steps)
    assert (times.dtype.name, times.shape) == ("float32", expected.shape)
    ulp = np.spacing(expected.astype(np.float32)).astype(np.float64)
    worst = float(np.max(np.abs(times.astype(np.float64) - expected) / ulp))
    assert worst <= MAX_ULP, f"{worst:.2f} ulp"
    return times


def check_rows(scenario: hm.Scenario) -> None:
    """Assert that `simulate` has our rows."""
    replay = Replay(scenario)
    times, stalls, pools = replay.times(range(ROWS))
    exposed = replay.exposed(times - stalls, pools)
    slowest = (times + exposed).argmax(axis=1)
    compute_s, stall_s, exposed_s = (
        each[np.arange(ROWS), slowest] for each in (times, stalls, exposed)
    )
    result = hm.simulate(scenario, seed=SEED, runs=RUN + 1, steps=ROWS, method="sample")
    rows = result.steps.filter(result.steps["run"] == RUN)
    atol = 5e-7 * float(compute_s.max())
    np.testing.assert_allclose(rows["compute_s"], compute_s, rtol=0, atol=atol)
    np.testing.assert_allclose(rows["stall_s"], stall_s, rtol=0, atol=atol)
    np.testing.assert_allclose(rows["exposed_comm_s"], exposed_s, rtol=0, atol=atol)
    names = [replay.plan.pools[index].name for index in pools[slowest]]
    assert rows["slowest_pool"].to_list() == names
    assert (rows["step_time_s"] == rows["compute_s"] + rows["exposed_comm_s"]).all()
    assert len(set(names)) == len(replay.plan.pools)


def test_philox_and_fnv_give_their_authors_answers() -> None:
    digits = (0x299F31D0_A4093822, (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344))
    answers = {
        (0, (0, 0, 0, 0)): [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8],
        (2**64 - 1, (2**32 - 1,) * 4): [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
        digits: [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    }
    for (seed, counter), answer in answers.items():
        assert philox(seed, *counter).tolist() == answer
        assert _core.philox(seed, counter) == answer
    assert [fnv1a(text) for text in ("", "a", "foobar")] == [0x811C9DC5, 0xE40C292C, 0xBF9CF968]


@pytest.mark.parametrize("effect", ["slowdown", "stall"])
@pytest.mark.parametrize("correlation_s", [0.01, 3.0, 40.0, 2e4])
@pytest.mark.parametrize("scope", ["node", "pool", "cluster"])
def test_what_drifts_follows_from_the_words_of_other_steps(
    load: Load, scope: str, correlation_s: float, effect: str
) -> None:
    law = STALL if effect == "stall" else lognormal(0.03)
    drift = cause(law, scope=scope, effect=effect, span="drift", correlation_s=correlation_s)
    check_rank_times(load({**RESIDUAL, "causes.drift": drift}))


@pytest.mark.parametrize("effect", ["slowdown", "stall"])
@pytest.mark.parametrize("span", ["run", "step"])
@pytest.mark.parametrize("scope", SCOPES)
def test_a_cause_has_the_address_of_its_unit(
    load: Load, scope: str, span: str, effect: str
) -> None:
    law = lognormal(0.1) if effect == "slowdown" else STALL
    extra = cause(law, scope=scope, span=span, effect=effect, probability=0.4)
    check_rank_times(load({**RESIDUAL, "causes.extra": extra}))
    always = cause(law, scope=scope, span=span, effect=effect)
    check_rank_times(load({"causes.extra": always}))


@pytest.mark.parametrize("law", [MIXTURE, {**MIXTURE, "cap": 1.5}, EMPIRICAL])
@pytest.mark.parametrize("probability", [1.0, 0.35])
def test_mixtures_and_samples_take_the_same_words(
    load: Load, law: dict[str, Any], probability: float
) -> None:
    check_rank_times(load({"causes.x": cause(law, probability=probability)}))


def test_words_below_two_to_the_sixteen_are_refined(load: Load) -> None:
    pools = {"h100": {"gpu": "h100-sxm", "n_gpus": 1024}}
    scenario = load({"pools": pools, "causes.heavy": cause(lognormal(1.0))})
    check_rank_times(scenario, range(200))
    drawn = words("h100/heavy/value", "step", np.arange(1024, dtype=np.uint64), range(200))
    assert (np.minimum(drawn, drawn ^ LOW) < 2**16).sum() >= 3


def test_an_occurrence_is_decided_by_64_bits(load: Load) -> None:
    units = np.arange(40, dtype=np.uint64)
    decided = set()
    for unit, word in enumerate(words("h100/stall/occurrence", "step", units, [5])[0, :8]):
        for beyond in (0.0, 0.25, 0.5, 0.75, 1.0):
            stall = cause(STALL, effect="stall", probability=(int(word) + beyond) / 2**32)
            times = check_rank_times(load({"causes.stall": stall}), [5])
            decided.add((beyond, bool(times[0, unit] > times[0, :40].min())))
    assert {(0.0, False), (0.5, False), (0.5, True), (1.0, True)} <= decided
    assert not {(0.0, True), (1.0, False)} & decided


@pytest.mark.parametrize("span", ["run", "step"])
@pytest.mark.parametrize("scope", SCOPES)
def test_rows_follow_from_ranks_and_the_slowest_port(load: Load, scope: str, span: str) -> None:
    noise = {"law": lognormal(0.3), "scope": scope, "span": span, "probability": 0.8}
    stall = cause(STALL, effect="stall", probability=0.01)
    port = cause(lognormal(0.5), affects="network", scope="node", pools=["gb200"])
    common = cause(lognormal(0.02), scope="cluster")
    causes = {**RESIDUAL, "causes.stall": stall, "causes.port": port, "causes.common": common}
    check_rows(load({**causes, "fabric.noise": noise}))


def test_spares_within_domains_keep_their_places(load: Load) -> None:
    halves = {"pools": {"gb200": {"gpu": "gb200-nvl72", "n_gpus": 150}}}
    lag = cause(STALL, affects="network", effect="stall", probability=0.05)
    stall = cause(STALL, effect="stall", scope="node", probability=0.1)
    layout = {"layout": {"tensor": 16, "sharding": "none"}}
    scenario = load({**halves, **layout, **RESIDUAL, "causes.lag": lag, "causes.stall": stall})
    assert check_rank_times(scenario).shape[1] == 128
    check_rows(scenario)


def test_what_is_added_renumbers_nothing(load: Load) -> None:
    many = {**RESIDUAL, "causes.node": cause(MIXTURE, scope="node", probability=0.5)}
    before = hm.rank_times(load(many), seed=SEED, run=RUN, steps=STEPS)
    elsewhere = cause(lognormal(0.2), pools=["gb200"])
    after = hm.rank_times(load({"causes.a": elsewhere, **many}), seed=SEED, run=RUN, steps=STEPS)
    assert after[:, :40].tobytes() == before[:, :40].tobytes()
    assert (after[:, 40:] != before[:, 40:]).all()
    more = {"first": H100, "h100": {**H100, "n_gpus": 52}, "gb200": GB200}
    after = hm.rank_times(load({"pools": more, **many}), seed=SEED, run=RUN, steps=STEPS)
    assert after[:, 40:80].tobytes() == before[:, :40].tobytes()
    assert after[:, 88:].tobytes() == before[:, 40:].tobytes()


@pytest.mark.parametrize("law", [lognormal(0.1), EMPIRICAL, MIXTURE], ids=lambda law: law["name"])
def test_a_changed_probability_keeps_the_severities(load: Load, law: dict[str, Any]) -> None:
    rare, often = (
        hm.rank_times(
            load({"causes.x": cause(law, probability=p)}), seed=SEED, run=RUN, steps=range(8)
        )
        for p in (0.2, 0.6)
    )
    never = hm.rank_times(load({}), seed=SEED, run=RUN, steps=range(8))
    occurred = rare != never
    assert 0.1 < occurred.mean() < 0.3
    assert (rare[occurred] == often[occurred]).all()


def test_any_number_of_threads_gives_the_same_bytes() -> None:
    scenario = hm.load("h100-1k", {"causes.stall.probability": 1e-3})
    results = [
        hm.simulate(scenario, seed=SEED, runs=3, steps=37, threads=threads, method="sample")
        for threads in (1, 2, 7)
    ]
    ranks = [
        hm.rank_times(scenario, seed=SEED, run=RUN, steps=range(37), threads=threads).tobytes()
        for threads in (1, 2, 7)
    ]
    assert ranks[0] == ranks[1] == ranks[2]
    for table in ("steps", "pools", "runs", "summary"):
        first, *others = (getattr(result, table) for result in results)
        assert all(first.equals(other) for other in others)


def test_addresses_that_do_not_exist_or_coincide_are_refused(load: Load) -> None:
    with pytest.raises(hm.ScenarioError, match="run"):
        hm.rank_times(load({}), seed=SEED, run=65_536, steps=[0])
    assert fnv1a("h100/1t9zi3/value") == fnv1a("h100/ttk11q/value")
    both = {f"causes.{name}": cause(lognormal(0.1)) for name in ("1t9zi3", "ttk11q")}
    with pytest.raises(hm.ScenarioError, match=r"1t9zi3.*ttk11q|ttk11q.*1t9zi3"):
        hm.simulate(load(both), seed=SEED, runs=1, steps=1)
