"""What moving some running slices would gain, and what it would cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import chain, combinations, islice
from math import comb, isfinite
from typing import TYPE_CHECKING, Any

from hindmost.arguments import as_float, as_int, bounds, refuse
from hindmost.errors import Problem
from hindmost.scenario.slices import Placement
from hindmost.slices.pack import MOST_NODES, Packing, Running, block_mask, largest_sum

if TYPE_CHECKING:
    import polars as pl

MOST_CUBES = 4096
"""Cubes of a pod whose slices are moved, at most."""
MOST_SLICES = 512
"""Running and waiting slices, at most."""
MOST_MOVES = 64
"""Moves, at most."""
MOST_SETS = 20_000
"""Sets of slices that are moved together, of each number of slices, that are tried."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """A running slice that gets other cubes.

    Attributes
    ----------
    slice_cubes : int
        Its cubes.
    from_block, to_block : int
        Blocks of that size that it leaves and takes.
    gpu_seconds : float
        GPU-seconds that it stands still or computes again for it.
    """

    slice_cubes: int
    from_block: int
    to_block: int
    gpu_seconds: float


@dataclass(frozen=True, kw_only=True)
class WithMoves:
    """What is placed after at most so many moves.

    Attributes
    ----------
    moves : int
        Moves that are allowed.
    cubes_placed : int
        Cubes of running slices, and of those that get a place.
    most_cubes : int
        No more can be placed; what is placed is the most where these are equal.
    moved : tuple of Move
        Running slices that are moved.
    placed : tuple of (int, int or None)
        Waiting slices that get a place: their cubes, and their block without switches.
    """

    moves: int
    cubes_placed: int
    most_cubes: int
    moved: tuple[Move, ...]
    placed: tuple[tuple[int, int | None], ...]


@dataclass(frozen=True, kw_only=True)
class Moves:
    """What is placed in a pod after at most 0, 1, 2 and so on moves of running slices.

    Attributes
    ----------
    cubes : int
        Cubes of the pod.
    by_moves : tuple of WithMoves
        One for each number of moves.
    """

    cubes: int
    by_moves: tuple[WithMoves, ...]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """`frame` as plain tables."""
        return [
            {
                "moves": one.moves,
                "n_moved": len(one.moved),
                "cubes_placed": one.cubes_placed,
                "share_placed": one.cubes_placed / self.cubes,
                "share_bound": one.most_cubes / self.cubes,
                "gpu_seconds": sum((move.gpu_seconds for move in one.moved), 0.0),
            }
            for one in self.by_moves
        ]

    @property
    def frame(self) -> pl.DataFrame:
        """One row a number of moves.

        moves that are allowed, and n_moved of them that are made; cubes_placed and share_placed of
        running slices and those that get a place; share_bound, which nothing exceeds: both are
        equal unless there were too many ways to try all; gpu_seconds that all moves cost.
        """
        import polars as pl

        return pl.DataFrame(self.rows, schema_overrides={"gpu_seconds": pl.Float64})

    def document(self) -> list[dict[str, Any]]:
        """Return the rows, each with the slices that are moved and placed, as plain tables."""
        return [
            {
                **row,
                "moved": [asdict(move) for move in one.moved],
                "placed": [{"slice_cubes": size, "block": block} for size, block in one.placed],
            }
            for row, one in zip(self.rows, self.by_moves, strict=True)
        ]


def moved(
    *,
    cubes: int,
    placement: Placement,
    running: Sequence[Running],
    waiting: Sequence[int],
    down: Sequence[int],
    moves: int,
    lost_s: float | Mapping[int, float],
    cube_gpus: int,
) -> Moves:
    """Return what `Slices.defragment` does; arguments and errors are its own."""
    running = [(as_int(size), as_int(block)) for size, block in running]
    waiting = [as_int(size) for size in waiting]
    down = sorted({as_int(cube) for cube in down})
    moves, cube_gpus = as_int(moves), as_int(cube_gpus)
    is_aligned = placement == "aligned"
    refuse(list(_argument_problems(cubes, running, waiting, down, moves, lost_s, cube_gpus)))
    refuse(list(_place_problems(cubes, running, down, is_aligned=is_aligned)))
    broken = sum(1 << cube for cube in down)
    if not is_aligned:
        found = _by_switches(cubes, running, waiting, n_up=cubes - len(down), moves=moves)
        return Moves(cubes=cubes, by_moves=found)

    def cost(size: int) -> float:
        seconds = lost_s.get(size, 0.0) if isinstance(lost_s, Mapping) else lost_s
        return size * cube_gpus * float(seconds)

    search = _Search(cubes, running, waiting, broken)
    by_moves = []
    for allowed in range(moves + 1):
        search.lift(allowed)
        by_moves.append(search.found(allowed, cost))
    return Moves(cubes=cubes, by_moves=tuple(by_moves))


class _Search:
    """The best places with more and more moves."""

    def __init__(
        self, cubes: int, running: Sequence[Running], waiting: Sequence[int], broken: int
    ) -> None:
        self.cubes = cubes
        # Small ones first, so that of equal gains the cheapest is found first.
        self.running = sorted(running)
        self.waiting = list(waiting)
        self.broken = self.taken = broken
        for size, block in running:
            self.taken |= block_mask(size, block)
        self.of_running = sum(size for size, _ in running)
        free = cubes - broken.bit_count() - self.of_running
        self.goal = self.of_running + largest_sum(waiting, free)
        self.best = -1
        self.lifted: tuple[Running, ...] = ()
        self.places: list[Running] = []
        self.is_whole = True
        """Whether nothing was left untried."""

    def lift(self, n: int) -> None:
        """Try all sets of so many running slices."""
        if self.best == self.goal or n > len(self.running):
            return
        sets: Iterable[tuple[Running, ...]] = combinations(self.running, n)
        if comb(len(self.running), n) <= MOST_SETS:
            sets = sorted(sets, key=_cubes)
        else:
            # Those that are in the way of one waiting slice first, by themselves and with the best.
            sets = islice(chain(self._in_the_way.get(n, ()), self._with_best(n), sets), MOST_SETS)
            self.is_whole = False
        packing = Packing(self.cubes, MOST_NODES)
        for one in sets:
            taken = self.taken
            for size, block in one:
                taken ^= block_mask(size, block)
            sizes = [size for size, _ in one]
            of_stay = self.of_running - sum(sizes)
            found = packing.search(taken, sizes, self.waiting, above=self.best - of_stay)
            if found is not None:
                self.best, self.lifted, self.places = found[0] + of_stay, one, found[1]
            if self.best == self.goal:
                return
            if packing.nodes < 0:
                self.is_whole = False
                return

    def _with_best(self, n: int) -> Iterator[tuple[Running, ...]]:
        """Yield so many slices, the best ones to be moved so far and more that are in the way."""
        best = set(self.lifted)
        if not best:
            return
        for sets in self._in_the_way.values():
            for more in sets:
                both = best.union(more)
                if len(both) == n:
                    yield tuple(sorted(both))

    @cached_property
    def _in_the_way(self) -> dict[int, list[tuple[Running, ...]]]:
        """Running slices on each block that a waiting one could take, by how many there are."""
        masks = [(one, block_mask(*one)) for one in self.running]
        found: dict[int, list[tuple[Running, ...]]] = {}
        for size in sorted(set(self.waiting)):
            for block in range(self.cubes // size):
                mask = block_mask(size, block)
                if mask & self.broken:
                    continue
                hit = tuple(one for one, own in masks if own & mask)
                found.setdefault(len(hit), []).append(hit)
        return {n: sorted(sets, key=_cubes) for n, sets in found.items()}

    def found(self, allowed: int, cost: Any) -> WithMoves:
        """Return the best places so far as what is moved and placed."""
        places, lifted = list(self.places), list(self.lifted)
        for one in [one for one in lifted if one in places]:
            # It has its own block again.
            places.remove(one)
            lifted.remove(one)
        moves = []
        for size, block in lifted:
            to = next(place for place in places if place[0] == size)
            places.remove(to)
            moves.append(
                Move(slice_cubes=size, from_block=block, to_block=to[1], gpu_seconds=cost(size))
            )
        most = self.best if self.best == self.goal or self.is_whole else self.goal
        return WithMoves(
            moves=allowed,
            cubes_placed=self.best,
            most_cubes=most,
            moved=tuple(moves),
            placed=tuple(places),
        )


def _cubes(slices: Sequence[Running]) -> int:
    """Return the cubes of some slices."""
    return sum(size for size, _ in slices)


def _by_switches(
    cubes: int, running: Sequence[Running], waiting: Sequence[int], *, n_up: int, moves: int
) -> tuple[WithMoves, ...]:
    """Return what is placed where any cubes make a slice: nothing is gained by moves."""
    of_running = sum(size for size, _ in running)
    left = largest_sum(waiting, n_up - of_running)
    total, placed = of_running + left, []
    for index, size in enumerate(waiting):
        # It is one of them if the others do not make up the sum alone.
        if left >= size and largest_sum(waiting[index + 1 :], left) < left:
            placed.append((size, None))
            left -= size
    return tuple(
        WithMoves(
            moves=allowed, cubes_placed=total, most_cubes=total, moved=(), placed=tuple(placed)
        )
        for allowed in range(moves + 1)
    )


def _argument_problems(
    cubes: int,
    running: Sequence[Running],
    waiting: Sequence[int],
    down: Sequence[int],
    moves: int,
    lost_s: float | Mapping[int, float],
    cube_gpus: int,
) -> Iterator[Problem]:
    """Yield the problems of single arguments."""
    yield from bounds("cubes", cubes, 1, MOST_CUBES)
    yield from bounds("moves", moves, 0, MOST_MOVES)
    yield from bounds("cube_gpus", cube_gpus, 1, 2**31 - 1)
    n_slices = len(running) + len(waiting)
    if n_slices > MOST_SLICES:
        requirement = f"must be at most {MOST_SLICES} slices with those that wait"
        yield Problem(path="running", requirement=requirement, value=n_slices)
    for size, block in running:
        yield from (found := bounds("running", size, 1, cubes))
        if not found:
            yield from bounds("running", block, 0, cubes // size - 1)
    for size in waiting:
        yield from bounds("waiting", size, 1, cubes)
    for cube in down:
        yield from bounds("down", cube, 0, cubes - 1)
    given = lost_s.values() if isinstance(lost_s, Mapping) else [lost_s]
    for seconds in map(as_float, given):
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not (is_number and isfinite(seconds) and seconds >= 0):
            yield Problem(path="lost_s", requirement="must be finite and >= 0", value=seconds)


def _place_problems(
    cubes: int, running: Sequence[Running], down: Sequence[int], *, is_aligned: bool
) -> Iterator[Problem]:
    """Yield the problems of running slices that cannot all be where they are."""
    if not is_aligned:
        taken, n_up = sum(size for size, _ in running), cubes - len(down)
        if taken > n_up:
            requirement = f"must take at most {n_up:,} cubes, those that are up"
            yield Problem(path="running", requirement=requirement, value=taken)
        return
    broken, used = sum(1 << cube for cube in down), 0
    for size, block in running:
        mask = block_mask(size, block)
        name = f"{size}@{block}"
        if mask & broken:
            requirement = "must be on cubes that are up"
            yield Problem(path="running", requirement=requirement, value=name)
        if mask & used:
            requirement = "must not share cubes with another slice"
            yield Problem(path="running", requirement=requirement, value=name)
        used |= mask
