"""A step without causes against a hand calculation."""

import pytest
from tests.calm import calm
from tests.scenarios import COLOSSUS_1_BARE

import hindmost as hm
from hindmost.plan import make_plan
from hindmost.scenario import Counts, from_table, to_table
from hindmost.scenario.mixed import stage_pools

CAUSES = ("gpu-speed", "residual", "step-common", "stall", "pause")
NOISELESS: dict[str, object] = {
    **{f"causes.{cause}.enabled": False for cause in CAUSES},
    "fabric.noise.enabled": False,
}


@pytest.fixture(scope="module")
def result() -> hm.Result:
    return hm.simulate(hm.load(COLOSSUS_1_BARE, NOISELESS), runs=1, steps=5, seed=0)


def hand_calculated_step_s() -> float:
    """Return a step of Llama-3-405B on H100, tensor 8, hybrid over 64, from published figures."""
    tokens = 2 * 8192
    matmul_flops = 6 * 403_747_897_344
    attention_flops = 6 * 126 * 128 * (128 + 128) * 8192 / 2
    flops = tokens * (matmul_flops + attention_flops) / 8
    gather_bytes = tokens * 16384 * 2
    pass_exchange_s = 4 * 126 * 7 * (3.4e-6 + gather_bytes / 8 / 370.8e9)
    forward_s = flops / 3 / (989e12 * 0.803) + pass_exchange_s
    backward_s = flops / (989e12 * 0.803) + 2 * pass_exchange_s
    port_bytes_per_s = 0.915 * 50e9
    weights_bytes = 2 * 405_853_388_800 / 8
    gather_s = 126 * 6 * 14e-6 + 63 / 64 * weights_bytes / port_bytes_per_s
    between_s = 2 * (126 * 9 * 14e-6 + 429 / 430 * weights_bytes / 37 / port_bytes_per_s)
    exposed_s = max(gather_s / 126, gather_s - 0.9 * forward_s)
    last_s = 2 * gather_s + between_s
    exposed_s += max(last_s / 126, last_s - 0.9 * backward_s)
    return forward_s + backward_s + exposed_s


def test_noiseless_mfu_is_the_hand_calculation(result: hm.Result) -> None:
    step_s = hand_calculated_step_s()
    assert result.steps["step_time_s"].to_list() == pytest.approx([step_s] * 5, rel=1e-12)
    tokens = 27_493 * 2 * 8192
    per_token = 6 * 403_747_897_344 + 6 * 126 * 128 * 256 * 8192 / 2
    peak = (150_000 + 50_000) * 989e12 + 19_944 * 2500e12
    mfu = tokens * per_token / (peak * step_s)
    assert result.steps["mfu"].to_list() == pytest.approx([mfu] * 5, rel=1e-12)
    # By hand without hop latency: 49.1% on H100 alone, 43.1% on the mix.
    assert mfu == pytest.approx(0.431, rel=0.01)


def test_the_mix_alone_costs_an_eighth(result: hm.Result) -> None:
    h100_alone = result.pools["mfu"][0]
    # Worked values: among ranks, and over the fleet.
    assert result.value("mfu") / h100_alone == pytest.approx(0.8783195, abs=5e-8)
    fleet_peak = 200_000 * 989e12 + 20_000 * 2500e12
    n_ranks = result.plan.n_ranks
    assert round(n_ranks * 989e12 / fleet_peak, 7) == 0.8778233


def test_spares_are_the_gpus_that_fill_no_domain(result: hm.Result) -> None:
    pools = result.pools
    assert pools["n_spares"].to_list() == [0, 0, 56]
    assert pools["n_gpus"].to_list() == [150_000, 50_000, 20_000]


def test_faster_pools_wait_for_the_slowest(result: hm.Result) -> None:
    pools = {row["pool"]: row for row in result.pools.iter_rows(named=True)}
    step_s, compute_s = result.value("step_time_s"), result.value("compute_s")
    plan = make_plan(hm.load(COLOSSUS_1_BARE, NOISELESS))
    gb200_s = plan.pools[2].compute.step_s
    assert pools["h100"]["wait_frac"] == pytest.approx(0, abs=1e-15)
    assert pools["gb200"]["busy_frac"] == pytest.approx(gb200_s / step_s)
    assert pools["gb200"]["wait_frac"] == pytest.approx((compute_s - gb200_s) / step_s)
    # Ties go to the first pool.
    assert [pools[name]["slowest_frac"] for name in pools] == [1, 0, 0]
    exposed = result.value("exposed_comm_s") / step_s
    for pool in pools.values():
        assert pool["busy_frac"] + pool["wait_frac"] + exposed == pytest.approx(1)


def test_one_run_has_no_errors(result: hm.Result) -> None:
    assert result.summary["std_error"].is_null().all()


def test_mixed_stages_take_the_slowest_way_that_there_is() -> None:
    """Twelve replicas of two stages: no stage of one is in the slow pool with the other one."""
    pools = {
        name: {"gpu": "h100-sxm", "n_gpus": 8, "forward_s": seconds, "backward_s": 3 * seconds}
        for name, seconds in (("a", 0.25), ("b", 0.26), ("c", 0.25))
    }
    changes = {
        "workload.model": "llama3-8b",
        "workload.n_microbatches": 1,
        "layout.pipeline": 2,
        "layout.placement": "mixed",
        "layout.tensor": 1,
        "layout.sharding": "none",
    }
    table = to_table(calm(changes=changes))
    scenario = from_table({**table, "pools": pools})
    counts = Counts.of(scenario.pools, scenario.layout)
    assert stage_pools(scenario.layout, counts) == [(0, 1), (0, 2), (1, 2)]
    compiled = hm.compile(scenario)
    step_s = compiled.simulate(seed=1, runs=1, steps=1, method="sample").value("step_time_s")
    assert compiled.plan.noiseless_step_s == pytest.approx(step_s, rel=1e-6)
