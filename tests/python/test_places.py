"""Who shares a domain: worked rows, and communicators counted rank by rank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.models import QWEN3_235B
from tests.plans import counts

import hindmost as hm
from hindmost.scenario import from_table, to_table
from hindmost.scenario.counts import expert_tensor, used_domain_gpus
from hindmost.scenario.places import PoolPlaces, places
from hindmost.spread import Spread

MEGATRON = "tp-cp-ep-dp-pp"
BASE = to_table(hm.load("h100-1k"))


def of(gpus: list[tuple[str, int]], **layout: Any) -> tuple[hm.Scenario, dict[str, PoolPlaces]]:
    """Return where the ranks of pools sit, by GPU and how many of them."""
    used = layout.pop("domain_gpus_used", None)
    pools = {
        f"p{index}": {"gpu": gpu, "n_gpus": n, "kernel_efficiency": 0.5, "domain_gpus_used": used}
        for index, (gpu, n) in enumerate(gpus)
    }
    scenario = from_table(
        {
            **{key: BASE[key] for key in ("name", "fabric", "collective")},
            "pools": pools,
            "models": {"qwen3": QWEN3_235B},
            "workload": {**BASE["workload"], "model": "qwen3", "n_microbatches": 8},
            "layout": layout,
        }
    )
    return scenario, places(scenario.pools, scenario.layout, counts(scenario))


def one(gpu: str, n_gpus: int, **layout: Any) -> PoolPlaces:
    return of([(gpu, n_gpus)], **layout)[1]["p0"]


def test_sixteen_gpus_of_two_domains() -> None:
    found = one("h100-sxm", 16, tensor=2, pipeline=4)
    assert found.data == Spread(ranks=2, members=2, domains=1, fewest=2)
    # Of stages 1, 5, 9, 13 only the middle transfer leaves, and the one from the last to the first.
    assert found.stage_levels == (0, 1, 0, 1)
    inside = one("h100-sxm", 16, tensor=2, pipeline=4, order="tp-cp-pp-dp")
    assert inside.data == Spread(ranks=2, members=1, domains=2, fewest=1)
    assert inside.stage_levels == (0,) * 4


def test_case_10_of_the_reports() -> None:
    layout = {"tensor": 1, "pipeline": 8, "expert": 8}
    found = one("b200-sxm", 256, **layout)
    assert found.experts == Spread(ranks=8, members=8, domains=1, fewest=8)
    assert found.same_experts == Spread(ranks=4, members=1, domains=4, fewest=1)
    assert found.data == Spread(ranks=32, members=8, domains=4, fewest=8)
    assert found.stage_levels == (1,) * 8
    inside = one("b200-sxm", 256, order="tp-cp-pp-ep-dp", **layout)
    assert inside.experts == Spread(ranks=8, members=1, domains=8, fewest=1)
    assert inside.data == Spread(ranks=32, members=1, domains=32, fewest=1)
    assert inside.stage_levels == (0,) * 8


def test_experts_over_tensor_context_and_data_ranks() -> None:
    layout = {"tensor": 4, "context": 2, "pipeline": 4, "expert": 8}
    found = one("h100-sxm", 256, **layout)
    assert found.data == Spread(ranks=16, members=2, domains=8, fewest=2)
    assert found.experts == Spread(ranks=8, members=2, domains=4, fewest=2)
    assert found.same_experts == Spread(ranks=2, members=1, domains=2, fewest=1)
    divided = one("h100-sxm", 256, expert_tensor=1, **layout)
    assert divided.experts == Spread(ranks=8, members=8, domains=1, fewest=8)
    assert divided.same_experts == Spread(ranks=8, members=1, domains=8, fewest=1)


def test_a_communicator_reaches_the_domains_of_all_pools() -> None:
    _, found = of([("h100-sxm", 80), ("gb200-nvl72", 144)], tensor=8)
    assert found["p0"].data == Spread(ranks=28, members=1, domains=12, fewest=1)
    assert found["p1"].data == Spread(ranks=28, members=9, domains=12, fewest=9)


@pytest.mark.parametrize(("used", "per_domain"), [(64, 8), (None, 9)])
def test_ranks_fill_what_is_used_of_a_domain(used: int | None, per_domain: int) -> None:
    found = one("gb200-nvl72", 576, tensor=8, domain_gpus_used=used)
    assert found.data == Spread.of(72, per_domain)


class Counted:
    """Ranks and domains counted one after another."""

    def __init__(self, scenario: hm.Scenario, pool: str) -> None:
        self.layout, self.pool = scenario.layout, pool
        n = counts(scenario)
        mixed = self.layout.placement == "mixed" and self.layout.pipeline > 1
        names = list(scenario.pools) if mixed else [pool]
        layout = self.layout
        self.ranks: list[dict[str, Any]] = []
        first = dict.fromkeys(scenario.pools, 0)
        before = 0
        for name in scenario.pools:
            first[name], before = before, before + n.pools[name].n_replicas
        for name in names:
            used = used_domain_gpus(scenario.pools[name], layout.tensor)
            self.ranks += [
                {"pool": name, "domain": (name, rank // used)}
                for rank in range(n.pools[name].n_ranks)
            ]
        data = len(self.ranks) // (layout.tensor * layout.context * layout.pipeline)
        sizes = {"tp": layout.tensor, "cp": layout.context, "dp": data, "pp": layout.pipeline}
        parts = expert_tensor(layout)
        same = layout.tensor * layout.context * data // (parts * layout.expert)
        experts = {"tp": parts, "ep": layout.expert, "dp": same, "pp": layout.pipeline}
        shift = 0 if mixed else first[pool]
        for number, rank in enumerate(self.ranks):
            for prefix, each in (("", sizes), ("e", experts)):
                left = number
                for name in layout.order.split("-"):
                    rank[prefix + name] = left % each.get(name, 1)
                    left //= each.get(name, 1)
            rank["shard"], rank["place"] = divmod(
                rank["dp"] + shift, layout.shard_group_replicas or 10**9
            )

    def worst(self, key: Callable[[dict[str, Any]], Hashable]) -> Spread:
        """Return the slowest of the communicators of which each has one key."""
        groups: dict[Hashable, Counter[Any]] = {}
        for rank in self.ranks:
            groups.setdefault(key(rank), Counter())[rank["domain"]] += 1
        own = []
        for group in groups.values():
            here = [n for (pool, _), n in group.items() if pool == self.pool]
            if here:
                own.append((min(here), -len(group), max(here), group.total()))
        fewest, domains, members, ranks = min(own, key=lambda each: each[:2])
        return Spread(ranks=ranks, members=members, domains=-domains, fewest=fewest)


def sizes() -> st.SearchStrategy[dict[str, int]]:
    small = st.sampled_from([1, 2, 4])
    return st.fixed_dictionaries(
        {
            "tensor": st.sampled_from([1, 2, 4, 8]),
            "context": small,
            "pipeline": small,
            "expert": small,
        }
    )


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    sizes=sizes(),
    inner=st.permutations(["cp", "ep", "dp", "pp"]),
    gpu=st.sampled_from(["h100-sxm", "gb200-nvl72"]),
    n_gpus=st.integers(8, 300),
    divides=st.booleans(),
    group=st.sampled_from([None, 1, 3, 4]),
    mixed=st.booleans(),
)
def test_spreads_are_those_of_counting(
    sizes: dict[str, int],
    inner: list[str],
    gpu: str,
    n_gpus: int,
    divides: bool,
    group: int | None,
    mixed: bool,
) -> None:
    layout: dict[str, Any] = {**sizes, "order": "-".join(["tp", *inner])}
    layout["expert_tensor"] = 1 if divides else None
    if group is not None:
        layout |= {"sharding": "hybrid", "shard_group_replicas": group}
    mixed = mixed and sizes["pipeline"] > 1
    if mixed:
        layout["placement"] = "mixed"
    gpus = [(gpu, n_gpus)] + [("h100-sxm", 40)] * mixed
    try:
        scenario, found = of(gpus, **layout)
    except hm.ScenarioError:
        assume(False)
        raise
    for pool, where in found.items():
        counted = Counted(scenario, pool)
        stage = counted.worst(lambda rank: (rank["tp"], rank["pp"]))
        assert where.data == stage
        assert where.context == counted.worst(lambda rank: (rank["tp"], rank["dp"], rank["pp"]))
        experts = counted.worst(lambda rank: (rank["etp"], rank["edp"], rank["epp"]))
        assert where.experts == (experts if sizes["expert"] > 1 else where.experts)
        if len(found) > 1 or group is not None:
            continue
        # Experts that are divided as all other weights are lie as these do.
        same = counted.worst(lambda rank: (rank["etp"], rank["eep"], rank["epp"]))
        has_own_places = sizes["expert"] > 1 or (divides and sizes["tensor"] > 1)
        assert where.same_experts == (same if has_own_places else stage)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(sizes=sizes(), n_gpus=st.integers(16, 300), group=st.integers(1, 6))
def test_shard_groups_are_of_consecutive_replicas(
    sizes: dict[str, int], n_gpus: int, group: int
) -> None:
    layout = {**sizes, "expert": 1, "sharding": "hybrid", "shard_group_replicas": group}
    try:
        scenario, found = of([("h100-sxm", n_gpus)], **layout)
    except hm.ScenarioError:
        assume(False)
        raise
    n = counts(scenario)
    assume(n.n_replicas % group == 0)
    counted = Counted(scenario, "p0")
    where = found["p0"]
    assert where.shard == counted.worst(lambda rank: (rank["tp"], rank["pp"], rank["shard"]))
    between = counted.worst(lambda rank: (rank["tp"], rank["cp"], rank["pp"], rank["place"]))
    assert where.between_shards == between
