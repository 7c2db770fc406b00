"""Cases rebuilt from public reports, with the values that are known to be right."""

from __future__ import annotations

import math
import tomllib
from typing import Any

import numpy as np
import pytest

import hindmost as hm
from hindmost.physics.flops import parameters
from hindmost.scenario import from_table, to_table
from tests.validation.families import DATA

REPORTS = DATA / "reports"

pytestmark = pytest.mark.skipif(
    not REPORTS.exists(), reason="the published data lie beside the project, and are absent"
)


def simulated(case: str, **changes: Any) -> hm.Result:
    """Return a simulation of a case without any cause, with changes by key path."""
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    return hm.simulate(REPORTS / f"{case}.toml", changes=dotted, seed=1, runs=1, steps=1)


@pytest.mark.parametrize("case", ["10-experts-b200-qwen235b", "11-mixed-placement-experts"])
def test_experts_of_a_node_exchange_tokens_over_its_links(case: str) -> None:
    result = simulated(case)
    assert result.value("compute_s") == pytest.approx(12.05, rel=2e-3)
    assert result.value("step_time_s") == pytest.approx(12.25, rel=2e-3)
    # With stages side by side each of the eight expert ranks is in a node of its own.
    apart = simulated(
        case,
        layout__order="tp-cp-pp-ep-dp",
        layout__placement="aligned",
        workload__expert_copies="expert",
    )
    assert apart.value("step_time_s") == pytest.approx(71.6, rel=2e-3)


def test_a_limited_router_and_relays_make_the_bound_one() -> None:
    """Measured: 19.7 s, with exchange that hides."""
    as_is = simulated("10c-experts-b200-dsv3-ep32").value("step_time_s")
    each = simulated("10c-experts-b200-dsv3-ep32", workload__expert_copies="expert")
    hidden = simulated("10c-experts-b200-dsv3-ep32", workload__expert_overlap_fraction=0.9)
    assert hidden.value("step_time_s") < as_is <= 19.7
    assert each.value("step_time_s") == pytest.approx(37.7, rel=0.01)


def test_racks_of_which_64_of_72_gpus_work_lose_no_replica() -> None:
    whole = simulated("12b-gb200-405b-256")
    assert (whole.plan.n_replicas, whole.pool_rows[0]["n_spares"]) == (3, 64)
    used = simulated("12b-gb200-405b-256", pools__g__domain_gpus_used=64)
    assert (used.plan.n_replicas, used.pool_rows[0]["n_spares"]) == (4, 0)
    assert used.value("step_time_s") == pytest.approx(43.7, rel=2e-3)
    leftover = simulated("12b-gb200-405b-256", pools__g__domain_gpus_used=64, pools__g__n_gpus=288)
    assert (leftover.plan.n_replicas, leftover.pool_rows[0]["n_spares"]) == (4, 32)


def test_64_of_the_72_gpus_of_one_rack_are_a_pool() -> None:
    # Without recomputation of all activations the job does not fit, which is another matter.
    result = simulated("12-gb200-64-of-72", workload__recompute="full")
    assert result.plan.ranks == [64]


def test_a_pool_is_busy_for_its_own_stages_and_sends_their_weights() -> None:
    result = simulated("49-mixed-stages-uneven-layers")
    step_s = result.value("step_time_s")
    assert result.value("compute_s") == pytest.approx(6.83, rel=1e-3)
    # Weights of 59 layers go through ports of the H100 only.
    assert result.value("exposed_comm_s") == pytest.approx(0.2, abs=0.05)
    a100, h100 = result.pool_rows
    # The figures of the report are of a step of 7.58 s, of which 0.75 s were exposed.
    for row, busy_frac, mfu in ((a100, 0.738, 0.388), (h100, 0.855, 0.351)):
        assert row["busy_frac"] * step_s == pytest.approx(busy_frac * 7.58, rel=3e-3)
        assert row["mfu"] * step_s == pytest.approx(mfu * 7.58, rel=3e-3)
        assert row["busy_frac"] + row["wait_frac"] < 1


def test_experts_may_be_divided_among_all_ranks() -> None:
    with pytest.raises(hm.ScenarioError) as refused:
        simulated("50-expert-over-tensor-ranks")
    assert str(refused.value).endswith(
        "layout.expert must divide the 32 ranks of a stage that hold the same part of an expert "
        "(1 of 2), got 64; with layout.expert_tensor = 1 it divides all 64"
    )
    result = simulated("50-expert-over-tensor-ranks", layout__expert_tensor=1)
    assert result.plan.n_replicas == 32


def test_four_gpus_of_a_node_are_a_pool() -> None:
    result = simulated("54-llama2-7b-4-gpus")
    assert (result.plan.ranks, result.plan.n_replicas) == ([4], 2)


def test_a_gpu_that_is_not_in_the_catalogue_is_written_down() -> None:
    assert simulated("15-gpu-not-in-catalogue").plan.ranks == [32]


def test_a_faster_port_needs_a_faster_fabric_and_then_takes_half_the_time() -> None:
    with pytest.raises(hm.ScenarioError, match=r"must be <= 5e\+10, the line rate of infiniband"):
        simulated("16-nic-800g")

    def both(**changes: Any) -> tuple[list[float], list[float]]:
        """Return the seconds of ports and those that are exposed, with 50 and 100 GB/s a port."""
        slow = simulated("16-nic-800g", pools__g__nic_bytes_per_s=50e9, **changes)
        fast = simulated("16-nic-800g", fabric={"name": "infiniband-xdr"}, **changes)
        ports_s = [sum(t.cost.transfer_s for t in r.plan.pools[0].terms) for r in (slow, fast)]
        return ports_s, [r.value("exposed_comm_s") for r in (slow, fast)]

    # One rank of a group in each domain: all that is exposed is of ports, but for the hops.
    ports_s, exposed_s = both(pools__g__domain_gpus_used=4)
    assert ports_s[1] == pytest.approx(ports_s[0] / 2)
    assert exposed_s[0] - exposed_s[1] == pytest.approx(ports_s[0] / 2, rel=0.02)
    # With 18 of them in a rack its ports together are faster than the links of each rank within
    # it, which work at the same time and set the pace with either port.
    ports_s, exposed_s = both()
    assert ports_s[1] == pytest.approx(ports_s[0] / 2)
    assert exposed_s[0] == pytest.approx(3.373, rel=2e-3)
    assert exposed_s[1] == pytest.approx(exposed_s[0], rel=0.01)


def test_a_torus_of_twice_the_links_rate_takes_half_the_time() -> None:
    assert simulated("17-tpu-v5p-links").value("exposed_comm_s") == pytest.approx(1.53, rel=0.03)
    fast = simulated(
        "17-tpu-v5p-links",
        fabric={"name": "tpu-ici-v5p", "shape": [8, 8, 8]},
    )
    assert fast.value("exposed_comm_s") == pytest.approx(0.77, rel=0.03)


def test_two_sites_slow_every_round_of_a_ring() -> None:
    table = tomllib.loads((REPORTS / "47-cross-site-latency.toml").read_text(encoding="utf-8"))
    far_s = table["fabric"].pop("latency_between_pools_s")
    steps_s = []
    for latency_s in (14e-6, far_s):
        site = {"gpus": 16, "bytes_per_s": 50e9, "latency_s": latency_s}
        table["fabrics"] = {"sites": {"extends": "infiniband-ndr", "beyond": site}}
        table["fabric"]["name"] = "sites"
        result = hm.simulate(from_table(table), seed=1, runs=1, steps=1)
        steps_s.append(result.value("exposed_comm_s"))
    # Each of 32 pieces goes six hops of four servers, two of them on either side.
    assert steps_s[1] - steps_s[0] == pytest.approx(32 * 6 * (far_s - 14e-6))


@pytest.mark.parametrize("slices", [1, 2, 32])
def test_slices_reduce_their_shards_over_the_second_tier(slices: int) -> None:
    table = tomllib.loads((REPORTS / "18-tpu-v5e-slices.toml").read_text(encoding="utf-8"))
    # The chips need no port of their own: 25 Gb/s a chip join the slices.
    rate = table["pools"]["g"].pop("nic_bytes_per_s")
    table["pools"]["g"]["n_gpus"] = 256 * slices
    beyond = {"gpus": 256, "bytes_per_s": rate, "latency_s": 1e-3}
    table["fabrics"] = {"slices": {"extends": "tpu-ici-v5e", "beyond": beyond}}
    table["fabric"] = {"name": "slices", "shape": [16, 16]}
    scenario = from_table(table)
    plan = hm.simulate(scenario, seed=1, runs=1, steps=1).plan
    torus_s, last_s = (plan.pools[0].terms[k].cost.total_s for k in (0, -1))
    n_bytes = 2 * parameters(scenario.model) / 256
    rounds = slices.bit_length() - 1
    between_s = 2 * ((slices - 1) / slices * n_bytes / rate + 64 * rounds * 1e-3)
    # The last backward pass gathers and scatters over the torus, and reduces between slices.
    assert last_s - 2 * torus_s == pytest.approx(between_s, rel=1e-3)


def test_ranks_that_collect_garbage_at_their_own_steps() -> None:
    # Some of 704 ranks collect in 93% of all steps, of 16.715 s and what their exchange exposes.
    collecting = 1 - (1 - 1 / 265) ** 704
    by_chance = hm.simulate(REPORTS / "38-staggered-gc.toml", seed=1, runs=64, steps=265)
    regular = hm.simulate(REPORTS / "38b-periodic-gc.toml", seed=1, runs=256, steps=530)
    for result in (by_chance, regular):
        step = result.summary.row(0, named=True)
        assert (step["metric"], step["statistic"]) == ("step_time_s", "mean")
        added_s = step["value"] - result.plan.noiseless_step_s
        assert added_s == pytest.approx(1.45 * collecting, abs=4 * step["std_error"])
        assert 16.715 + added_s == pytest.approx(18.064, abs=0.01)
    # Phases cluster: a step that is quiet or slow is so in every period.
    is_slow = regular.steps["stall_s"].to_numpy().reshape(256, 2, 265) > 0
    assert (is_slow[:, 0] == is_slow[:, 1]).all()


def with_slow_node(case: str, node: int, **layout: str) -> hm.Result:
    """Return a simulation of a case whose pools are one, of which one node is slow."""
    table = to_table(hm.load(REPORTS / f"{case}.toml"))
    gpu = next(iter(table["pools"].values()))
    table["pools"] = {"h100": {**gpu, "n_gpus": 1024}}
    table["layout"] |= layout
    table["causes"]["slow-node"] |= {"scope": "node", "units": [node], "pools": ["h100"]}
    return hm.simulate(from_table(table), seed=1, runs=1, steps=1)


def test_a_named_node_is_as_slow_as_a_pool_of_its_own() -> None:
    apart = simulated("41-one-slow-node")
    assert apart.value("step_time_s") == pytest.approx(1.283, rel=1e-3)
    named = with_slow_node("41-one-slow-node", 17)
    assert named.value("step_time_s") == pytest.approx(apart.value("step_time_s"), rel=1e-4)
    healthy_s = named.plan.noiseless_step_s
    assert healthy_s == pytest.approx(1.071, rel=1e-3)


def test_a_named_node_is_one_stage_of_one_replica() -> None:
    # Node 75 of 128 is stage 9 of replica 3: each stage has eight nodes, one a replica.
    named = with_slow_node("41c-slow-node-stage-9", 75, placement="aligned")
    assert named.value("step_time_s") == pytest.approx(17.55, rel=5e-3)
    # As stage 9 of any other replica, and worse than as the first stage.
    times_s = [
        with_slow_node("41c-slow-node-stage-9", node, placement="aligned").value("step_time_s")
        for node in (79, 3)
    ]
    assert times_s[0] == pytest.approx(named.value("step_time_s"), rel=1e-6)
    assert times_s[1] < named.value("step_time_s")


def test_work_of_two_days_on_spot_machines_never_ends_without_checkpoints() -> None:
    """Reported: 3,198 and 17.9 billed hours; the renewal formula gives 3,366 and 18.2."""
    table = tomllib.loads((REPORTS / "43-spot-goodput.toml").read_text())
    given = {key: table.pop(key) for key in ("failures", "checkpoints")}
    table["failures"] = {"spot": {"scope": "job", "per_hour": given["failures"]["rate_per_hour"]}}
    table["recovery"] = {"restart_s": 0.0}
    price, work_h = 0.35, 48.5

    def billed_h(**tables: Any) -> tuple[float, float]:
        scenario = from_table({**table, **tables})
        size: dict[str, Any] = {"seed": 1, "runs": 4, "steps": 2}
        plain = hm.simulate(scenario, **size)
        tokens = work_h * 3600 / float(plain.mean_step_s.mean()) * plain.plan.tokens
        hours = hm.simulate(scenario, **size, tokens=tokens).hours
        assert hours is not None
        days = np.array(hours.budget_days, dtype=float)
        billed = price * 24 * days
        return float(billed.mean()), float(billed.std(ddof=1)) / len(billed) ** 0.5

    never, never_error = billed_h()
    rate = given["failures"]["rate_per_hour"]
    assert abs(never - price * math.expm1(rate * work_h) / rate) < 4 * never_error
    assert abs(never - 3198) < 4 * never_error
    checkpoint = {"interval_s": 1800, "blocking_s": given["checkpoints"]["write_s"]}
    often, often_error = billed_h(checkpoint=checkpoint)
    # The last half hour is not saved.
    segments = work_h / 0.5
    expected = price * (
        (segments - 1) * math.expm1(rate * (0.5 + 1 / 60)) / rate + math.expm1(rate * 0.5) / rate
    )
    assert abs(often - expected) < 4 * often_error
    assert often == pytest.approx(17.9, rel=0.03)
