"""Algorithms of collectives against counts of what each link carries."""

from collections import defaultdict
from itertools import pairwise, permutations

import numpy as np
import pytest
from scipy.optimize import linprog

from hindmost.collective import (
    ALGORITHMS,
    Cost,
    Link,
    all_to_all,
    flat_ring,
    hierarchical,
    pat,
    ring,
    torus,
    tree,
)
from hindmost.spread import Spread

PORT = Link(latency_s=1e-5, bytes_per_s=45e9)
SCALE_UP = Link(latency_s=1e-6, bytes_per_s=370e9)
Sent = dict[tuple[str, int], float]

SHAPES = [(1, 1), (2, 1), (8, 1), (8, 8), (16, 8), (20, 8), (24, 8), (40, 4), (9, 8)]


def busiest(sent: Sent) -> tuple[float, float]:
    """Return the seconds of the busiest scale-up link and of the busiest port."""
    by_kind = {"scale_up": 0.0, "port": 0.0}
    for (kind, _), n_bytes in sent.items():
        by_kind[kind] = max(by_kind[kind], n_bytes)
    return by_kind["scale_up"] / SCALE_UP.bytes_per_s, by_kind["port"] / PORT.bytes_per_s


@pytest.mark.parametrize(("n", "per_domain"), [s for s in SHAPES if s[0] % s[1] == 0])
def test_a_flat_ring_message_by_message(n: int, per_domain: int) -> None:
    n_bytes = 8e9
    n_domains = n // per_domain
    sent: Sent = defaultdict(float)
    for channel in range(per_domain):
        # The ring enters each domain at the rank that follows the one it leaves from.
        order = [
            domain * per_domain + (channel + 1 + place) % per_domain
            for domain in range(n_domains)
            for place in range(per_domain)
        ]
        for _ in range(n - 1):
            for place, rank in enumerate(order):
                following = order[(place + 1) % n]
                kind = "scale_up" if rank // per_domain == following // per_domain else "port"
                sent[kind, rank] += n_bytes / per_domain / n
    cost = flat_ring.all_gather(
        n_bytes, spread=Spread.of(n, per_domain), scale_up=SCALE_UP, port=PORT
    )
    scale_up_s, port_s = busiest(sent)
    assert cost.transfer_s == pytest.approx(port_s)
    assert cost.total_s - cost.latency_s == pytest.approx(max(scale_up_s, port_s))


def test_a_flat_ring_has_a_hop_between_domains_for_each_but_one() -> None:
    cost = flat_ring.all_reduce(0, spread=Spread.of(64, 8), scale_up=SCALE_UP, port=PORT)
    assert cost.latency_s == pytest.approx(2 * (7 * 1e-5 + 56 * 1e-6))
    alone = flat_ring.all_reduce(1e9, spread=Spread.of(8, 8), scale_up=SCALE_UP, port=PORT)
    assert alone.total_s == pytest.approx(ring.all_reduce(1e9, n=8, link=SCALE_UP).total_s)
    assert alone.transfer_s == 0


def test_a_ring_of_one_rank_a_domain_is_a_plain_ring() -> None:
    for name in ("all_gather", "reduce_scatter", "all_reduce"):
        flat = getattr(flat_ring, name)(1e9, spread=Spread.of(430, 1), scale_up=SCALE_UP, port=PORT)
        plain = getattr(ring, name)(1e9, n=430, link=PORT)
        assert flat.latency_s == pytest.approx(plain.latency_s)
        assert flat.transfer_s == pytest.approx(plain.transfer_s)
        assert flat.scale_up_s == 0


def nccl_parent(n: int, rank: int) -> int:
    """Return the parent in NCCL's binary tree, from the bits of the rank."""
    low = rank & -rank
    up = (rank ^ low) | (low << 1)
    return rank ^ low if up >= n else up


def double_tree(n: int) -> list[list[tuple[int, int]]]:
    """Return the edges of both trees: the second is the first, shifted or mirrored."""
    first = [(rank, nccl_parent(n, rank)) for rank in range(1, n)]
    moved = [(rank + 1) % n if n % 2 else n - 1 - rank for rank in range(n)]
    return [first, [(moved[child], moved[parent]) for child, parent in first]]


@pytest.mark.parametrize(("n", "per_domain"), [(1, 1), (8, 8), (8, 2), (32, 8), (64, 4), (72, 9)])
def test_a_hierarchy_message_by_message(n: int, per_domain: int) -> None:
    n_bytes = 8e9
    n_domains = n // per_domain
    sent: Sent = defaultdict(float)
    # What each rank has of the data of its number in all domains, as domains that it came from.
    has = {rank: {rank // per_domain} for rank in range(n)}
    for step in reversed(range((n_domains - 1).bit_length())):
        before = {rank: set(domains) for rank, domains in has.items()}
        for rank, domains in before.items():
            target = (rank + per_domain * 2**step) % n
            new = domains - has[target]
            sent["port", rank] += len(new) * n_bytes / n
            has[target] |= new
    assert all(len(domains) == n_domains for domains in has.values())
    for rank in range(n):
        # A ring within the domain passes on what each rank has gathered, in all rounds but one.
        sent["scale_up", rank] += (per_domain - 1) * n_bytes / per_domain
    scale_up_s, port_s = busiest(sent)
    cost = hierarchical.all_gather(
        n_bytes, spread=Spread.of(n, per_domain), scale_up=SCALE_UP, port=PORT
    )
    assert cost.transfer_s == pytest.approx(port_s)
    assert cost.total_s - cost.latency_s == pytest.approx(max(scale_up_s, port_s))


@pytest.mark.parametrize("n", [16, 40, 80])
@pytest.mark.parametrize("n_chunks", [1, 4, 64, 4_096])
def test_chunks_bring_a_hierarchy_to_the_pace_of_its_slower_level(n: int, n_chunks: int) -> None:
    """A chunk enters a level when the level is free and the chunk has left the one before."""
    spread = Spread.of(n, 8)
    cost = hierarchical.all_gather(2**30, spread=spread, scale_up=SCALE_UP, port=PORT)
    within_s = ring.all_gather(2**30, n=8, link=SCALE_UP).transfer_s
    free = [0.0, 0.0]
    for _ in range(n_chunks):
        free[0] += cost.transfer_s / n_chunks
        free[1] = max(free) + within_s / n_chunks
    fill_s = free[1] - (cost.transfer_s + cost.scale_up_s)
    # What the pipeline needs to fill is one chunk of the faster level.
    assert fill_s == pytest.approx(min(cost.transfer_s, within_s) / n_chunks)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 7, 8, 16, 30, 64, 430])
def test_both_trees_edge_by_edge(n: int) -> None:
    n_bytes = 8e9
    sent: Sent = defaultdict(float)
    for edges in double_tree(n):
        for child, parent in edges:
            sent["port", child] += n_bytes / 2
            sent["port", parent] += n_bytes / 2
    cost = tree.all_reduce(n_bytes, spread=Spread.of(n, 1), scale_up=SCALE_UP, port=PORT)
    assert cost.transfer_s == pytest.approx(busiest(sent)[1])

    def depth(rank: int) -> int:
        return 0 if rank == 0 else 1 + depth(nccl_parent(n, rank))

    deepest = max(depth(rank) for rank in range(n))
    assert cost.latency_s == pytest.approx(2 * deepest * 1e-5)


@pytest.mark.parametrize("per_domain", [1, 2, 8])
def test_chains_below_a_tree_start_at_different_ranks(per_domain: int) -> None:
    sent: Sent = defaultdict(float)
    for head in range(per_domain):
        chain = [(head + place) % per_domain for place in range(per_domain)]
        for upper, lower in pairwise(chain):
            sent["scale_up", lower] += 8e9 / per_domain
            sent["scale_up", upper] += 8e9 / per_domain
    cost = tree.all_reduce(8e9, spread=Spread.of(per_domain, 8), scale_up=SCALE_UP, port=PORT)
    assert cost.scale_up_s == pytest.approx(busiest(sent)[0])
    assert cost.latency_s == pytest.approx(2 * (per_domain - 1) * 1e-6)


def test_a_tree_has_shorter_latency_and_no_less_to_send_than_a_ring() -> None:
    shape = {"spread": Spread.of(4_096, 8), "scale_up": SCALE_UP, "port": PORT}
    by_tree, by_ring = (f.all_reduce(1e9, **shape) for f in (tree, flat_ring))
    assert by_tree.latency_s == pytest.approx(2 * (9e-5 + 7e-6))
    assert by_tree.latency_s < by_ring.latency_s / 50
    assert by_tree.transfer_s == pytest.approx(by_ring.transfer_s, rel=1e-3)


def test_pat_doubles_in_each_round_what_a_rank_has() -> None:
    for n in (1, 2, 3, 64, 430):
        have, rounds = 1, 0
        while have < n:
            have, rounds = min(n, 2 * have), rounds + 1
        cost = pat.all_gather(1e9, spread=Spread.of(n, 1), scale_up=SCALE_UP, port=PORT)
        assert cost.latency_s == pytest.approx(rounds * 1e-5)
        assert cost.transfer_s == pytest.approx((n - 1) / n * 1e9 / 45e9)
        assert cost == pat.reduce_scatter(1e9, spread=Spread.of(n, 1), scale_up=SCALE_UP, port=PORT)


def test_pat_takes_one_rank_a_domain() -> None:
    assert pat.applies(Spread.of(1, 8))
    assert pat.applies(Spread.of(64, 1))
    assert not pat.applies(Spread.of(64, 2))
    with pytest.raises(ValueError, match="one rank a domain, got 8"):
        pat.all_gather(1e9, spread=Spread.of(64, 8), scale_up=SCALE_UP, port=PORT)


@pytest.mark.parametrize(("n", "per_domain"), SHAPES)
def test_an_all_to_all_message_by_message(n: int, per_domain: int) -> None:
    n_bytes = 8e9
    sent: Sent = defaultdict(float)
    for source in range(n):
        for target in range(n):
            if source != target:
                same = source // per_domain == target // per_domain
                sent["scale_up" if same else "port", source] += n_bytes / n
    scale_up_s, port_s = busiest(sent)
    cost = all_to_all(n_bytes, spread=Spread.of(n, per_domain), scale_up=SCALE_UP, port=PORT)
    assert cost.transfer_s == pytest.approx(port_s)
    assert cost.total_s - cost.latency_s == pytest.approx(max(scale_up_s, port_s))
    assert cost.latency_s == (0 if n == 1 else 1e-5 if port_s else 1e-6)


def test_a_torus_of_4096_reduces_a_gigabyte() -> None:
    link = Link(latency_s=0.0, bytes_per_s=45e9)
    cost = torus.all_reduce(1e9, shape=(16, 16, 16), link=link)
    assert round(1e3 * cost.total_s, 4) == 7.4056
    half = torus.reduce_scatter(1e9, shape=(16, 16, 16), link=link)
    assert cost == half + torus.all_gather(1e9, shape=(16, 16, 16), link=link)


def load_along(size: int, *, wrapped: bool) -> tuple[float, int]:
    """Scatter and reduce one byte along a dimension: the busiest link, the longest way.

    Partial sums go to their owner from both sides, and a link carries one for each
    owner that it leads to; what is as far either way goes half either way.
    """
    load: dict[tuple[int, int], float] = defaultdict(float)
    longest = 0
    for owner in range(size):
        for direction in (1, -1):
            reach = size // 2 if wrapped else size
            for distance in range(1, reach + 1):
                source = owner - direction * distance
                if not wrapped and not 0 <= source < size:
                    continue
                share = 0.5 if wrapped and 2 * distance == size else 1.0
                load[source % size, direction] += share / size
                longest = max(longest, distance)
    return max(load.values()), longest


@pytest.mark.parametrize("size", [2, 3, 4, 5, 7, 8, 12, 16])
def test_a_line_has_half_of_the_bandwidth_of_a_ring(size: int) -> None:
    link = Link(latency_s=1.0, bytes_per_s=1.0)
    wrapped = torus.is_wrapped(size)
    assert wrapped == (size in (4, 8, 12, 16))
    cost = torus.reduce_scatter(1.0, shape=(size,), link=link)
    load, longest = load_along(size, wrapped=wrapped)
    assert cost.transfer_s == pytest.approx(load)
    assert cost.latency_s == longest
    assert load == pytest.approx((1 - 1 / size) / (2 if wrapped else 1))


@pytest.mark.parametrize(
    "shape",
    [
        (4,),
        (4, 4),
        (4, 2),
        (2, 2),
        (2, 3),
        (4, 8, 16),
        (2, 2, 16),
        (5, 4, 4),
        (16, 16, 24),
        (2, 3, 5),
    ],
)
def test_no_division_among_orders_of_dimensions_is_faster(shape: tuple[int, ...]) -> None:
    orders = list(permutations(range(len(shape))))
    seconds = np.zeros((len(shape), len(orders)))
    for column, order in enumerate(orders):
        left = 1.0
        for dimension in order:
            size = shape[dimension]
            load, _ = load_along(size, wrapped=torus.is_wrapped(size))
            seconds[dimension, column] = left * load
            left /= size
    # The least time t of the busiest dimension, over the shares of the orders.
    best = linprog(
        c=[*np.zeros(len(orders)), 1.0],
        A_ub=np.hstack([seconds, -np.ones((len(shape), 1))]),
        b_ub=np.zeros(len(shape)),
        A_eq=[[*np.ones(len(orders)), 0.0]],
        b_eq=[1.0],
    )
    link = Link(latency_s=0.0, bytes_per_s=1.0)
    assert torus.all_gather(1.0, shape=shape, link=link).total_s == pytest.approx(best.fun)


def test_a_dimension_of_one_has_no_links() -> None:
    link = Link(latency_s=1e-6, bytes_per_s=45e9)
    assert torus.all_reduce(1e9, shape=(1, 1), link=link) == Cost()
    flat = torus.all_reduce(1e9, shape=(8, 1, 4), link=link)
    assert flat == torus.all_reduce(1e9, shape=(8, 4), link=link)


def test_every_algorithm_grows_with_bytes_and_costs_one_rank_nothing() -> None:
    for algorithm in ALGORITHMS.values():
        for collective in (algorithm.all_gather, algorithm.reduce_scatter, algorithm.all_reduce):
            if collective is None:
                continue
            alone = collective(1e9, spread=Spread.of(1, 1), scale_up=SCALE_UP, port=PORT)
            assert alone.total_s == 0
            small, large = (
                collective(n_bytes, spread=Spread.of(100, 1), scale_up=SCALE_UP, port=PORT)
                for n_bytes in (1e6, 1e9)
            )
            assert small.latency_s == large.latency_s
            assert large.transfer_s == pytest.approx(1_000 * small.transfer_s)
    assert ALGORITHMS["tree"].all_gather is None
    assert ALGORITHMS["pat"].all_reduce is None
