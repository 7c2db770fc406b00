"""Hop noise against exact expectations and message by message."""

import random

import numpy as np
import pytest
from scipy import stats

from hindmost.collective import btree, hops
from hindmost.collective.hops import Pattern
from hindmost.law import Component, Constant, Exponential, Law, LogNormal, Mixture

EXPONENTIAL = Exponential(mean=1.0)
PATTERNS: list[Pattern] = [
    "ring",
    "ring-all-reduce",
    "doubling",
    "doubling-all-reduce",
    "reduction",
    "tree",
]


@pytest.mark.parametrize(
    ("n", "mean", "error"), [(2, 3.0, 0), (4, 10.855, 3e-3), (64, 256.34, 0.05)]
)
def test_exponential_hops_on_a_ring(n: int, mean: float, error: float) -> None:
    found = hops.total(EXPONENTIAL, pattern="ring-all-reduce", n=n)
    assert abs(found.mean - mean) < 4 * np.hypot(found.std_error, error)


def mixture(*parts: tuple[float, Law], cap: float | None = None) -> Mixture:
    components = [Component(weight=weight, law=law) for weight, law in parts]
    return Mixture(components=components, cap=cap)


def test_a_mixture_of_one_law_with_itself_takes_the_time_of_that_law() -> None:
    both = mixture((0.25, EXPONENTIAL), (0.75, EXPONENTIAL))
    one, other = (hops.total(law, pattern="ring", n=32) for law in (EXPONENTIAL, both))
    assert stats.ks_2samp(one.samples, other.samples).statistic < 1e-3


def test_a_rare_component_takes_its_share_of_hops() -> None:
    # Of 2 rounds of 2 ranks each the slower one counts: the rare hop is in one of 4.
    rare = mixture((1 - 1e-3, Constant(value=1.0)), (1e-3, Constant(value=100.0)), cap=50.0)
    found = hops.total(rare, pattern="doubling-all-reduce", n=2)
    expected = 2 + 2 * 49 * (1 - (1 - 1e-3) ** 2)
    assert abs(found.mean - expected) < 4 * found.std_error


def test_a_heavy_tail_takes_no_less_time_on_more_ranks() -> None:
    heavy = mixture((0.9999, Constant(value=1.0)), (1e-4, LogNormal(sigma=6.0)), cap=1e9)
    for pattern in PATTERNS:
        most = hops.total(heavy, pattern=pattern, n=128)
        for n in (129, 1_000, 100_000):
            found = hops.total(heavy, pattern=pattern, n=n)
            assert (found.samples >= most.samples).all()
            assert found.law().core.mean() > 0


def test_exponential_hops_up_a_tree_with_four_leaves() -> None:
    found = hops.total(EXPONENTIAL, pattern="reduction", n=4)
    assert abs(found.mean - 119 / 36) < 4 * found.std_error


@pytest.mark.parametrize("pattern", PATTERNS)
def test_constant_hops_give_the_hop_count(pattern: Pattern) -> None:
    for n in (1, 2, 3, 5, 64, 128, 129, 1_717):
        found = hops.total(Constant(value=1.0), pattern=pattern, n=n)
        assert found.mean == found.hops == hops.n_hops(pattern, n)
        assert found.std_error == 0
        assert set(found.samples) == {float(found.hops)}
    rounds: dict[Pattern, int] = {
        "ring": 128,
        "ring-all-reduce": 256,
        "doubling": 8,
        "reduction": 8,
    }
    assert all(hops.n_hops(name, 129) == count for name, count in rounds.items())


@pytest.mark.parametrize("pattern", PATTERNS)
def test_beyond_the_largest_the_mean_is_within_its_error(pattern: Pattern) -> None:
    direct = hops.replay(EXPONENTIAL, pattern=pattern, n=256, n_replays=1_024, seed=11)
    found = hops.total(EXPONENTIAL, pattern=pattern, n=256)
    direct_error = direct.std(ddof=1) / 32
    assert abs(found.mean - direct.mean()) < 4 * np.hypot(found.std_error, direct_error)
    assert found.std_error < 0.02 * found.mean
    assert found.quantile(0.9) == pytest.approx(np.quantile(direct, 0.9), rel=0.02)


def ring_by_messages(n: int, rounds: int, draw: random.Random) -> float:
    """Send each message by itself: a rank sends when it has sent and received the last."""
    sent = [0.0] * n
    arrived = [0.0] * n
    for _ in range(rounds):
        starts = [max(sent[rank], arrived[rank]) for rank in range(n)]
        ends = [start + draw.expovariate(1.0) for start in starts]
        sent = ends
        arrived = [ends[rank - 1] for rank in range(n)]
    return max(sent)


def test_a_ring_replayed_is_a_ring_message_by_message() -> None:
    draw = random.Random(3)
    for n in (3, 8):
        slow = [ring_by_messages(n, n - 1, draw) for _ in range(4_000)]
        fast = hops.replay(EXPONENTIAL, pattern="ring", n=n)
        assert stats.ks_2samp(slow, fast).pvalue > 1e-4


def nccl_parent(n: int, rank: int) -> int:
    """Return the parent in NCCL's binary tree, from the bits of the rank."""
    low = rank & -rank
    up = (rank ^ low) | (low << 1)
    return rank ^ low if up >= n else up


def tree_by_messages(n: int, draw: random.Random) -> float:
    parents = {rank: nccl_parent(n, rank) for rank in range(1, n)}

    def heard(rank: int) -> float:
        below = [child for child, parent in parents.items() if parent == rank]
        return max((heard(child) + draw.expovariate(1.0) for child in below), default=0.0)

    def told(rank: int, since: float) -> float:
        below = [child for child, parent in parents.items() if parent == rank]
        return max([since, *(told(child, since + draw.expovariate(1.0)) for child in below)])

    return told(0, heard(0))


def test_a_tree_replayed_is_both_trees_message_by_message() -> None:
    draw = random.Random(4)
    for n in (2, 6, 13):
        slow = [max(tree_by_messages(n, draw), tree_by_messages(n, draw)) for _ in range(3_000)]
        fast = hops.replay(EXPONENTIAL, pattern="tree", n=n)
        assert stats.ks_2samp(slow, fast).pvalue > 1e-4


def depth(parents: list[int], node: int) -> int:
    return 0 if node == 0 else 1 + depth(parents, parents[node])


def test_trees_have_the_shape_of_nccl() -> None:
    for n in range(1, 70):
        ours = btree.over_ranks(n)
        theirs = [0, *(nccl_parent(n, rank) for rank in range(1, n))]
        assert sorted(depth(ours, node) for node in range(n)) == sorted(
            depth(theirs, node) for node in range(n)
        )
        children = [ours[1:].count(node) for node in range(n)]
        assert sorted(children) == sorted(theirs[1:].count(node) for node in range(n))
        assert all(parent < node for node, parent in enumerate(ours[1:], 1))


def test_balanced_trees_have_their_ranks_for_leaves() -> None:
    for n in range(1, 70):
        parents = btree.over_leaves(n)
        inner = set(parents[1:])
        leaves = [node for node in range(len(parents)) if node not in inner]
        assert len(leaves) == n
        assert max(depth(parents, leaf) for leaf in leaves) == (n - 1).bit_length()


def test_doubling_by_hand_for_three_ranks() -> None:
    # Each rank waits for another one and then, one round on, for the third.
    draw = random.Random(5)

    def once() -> float:
        first = [draw.expovariate(1.0) for _ in range(3)]
        return max(max(first[i], first[i - 2]) + draw.expovariate(1.0) for i in range(3))

    fast = hops.replay(EXPONENTIAL, pattern="doubling", n=3)
    assert stats.ks_2samp([once() for _ in range(4_000)], fast).pvalue > 1e-4


def test_rare_long_hops_are_drawn_from_the_law_itself() -> None:
    draws = hops._Draws(EXPONENTIAL, seed=1, n=1)
    times = draws.times(1 << 12, 1 << 12).ravel()
    longest = np.sort(times)[-16:]
    # 16 draws of 2^24 lie in the uppermost of 2^20 bins: not all at its middle.
    assert len(set(longest.tolist())) > 8
    assert longest[0] > np.log(2**19)
    assert stats.kstest(times[: 1 << 18], stats.expon.cdf).statistic < 1.95 / 2**9


def test_the_total_is_a_law_of_the_slowdown_of_a_latency() -> None:
    found = hops.total(LogNormal(sigma=0.5), pattern="doubling", n=64)
    assert found.law().core.mean() == pytest.approx(found.mean / 6, rel=1e-3)
    assert not found.samples.flags.writeable
    assert hops.total(LogNormal(sigma=0.5), pattern="doubling", n=64) is found


def test_a_frozen_distribution_is_a_law_too() -> None:
    ours = hops.total(EXPONENTIAL, pattern="tree", n=8)
    theirs = hops.total(stats.expon(), pattern="tree", n=8)
    assert theirs.mean == pytest.approx(ours.mean, rel=1e-4)
