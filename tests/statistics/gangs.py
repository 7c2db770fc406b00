"""A second engine for ranks that wait within a step, in NumPy.

It shares the values of laws with the core and nothing else: the layout, the addresses,
the four orders of passes and their times are written here once more. It knows no
shortcut: every rank has its number in every layer, and what a gang shares is drawn for
each of its ranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import chain, zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hindmost import _core
from tests.statistics.test_addresses import fnv1a, is_below, philox

Floats = NDArray[np.float64]
Counts = NDArray[np.uint64]
Places = NDArray[np.intp]
Spec = dict[str, Any]
Pass = tuple[str, int, int]  # of a microbatch and a chunk

SEED = 0x7A3F19C5_0B6DE281
RUNS, STEPS = 2, 5
F, B, W = "forward_s", "backward_s", "weight_s"
HALF = np.uint64(32)


def words(stream: str, units: Counts, span: str, n_indices: int) -> Counts:
    """Return the words of a stream by row, index and unit; a run or step has one index."""
    runs, steps = (each.reshape(-1, 1, 1) for each in np.divmod(np.arange(RUNS * STEPS), STEPS))
    if span in ("run", "step"):
        at = steps if span == "step" else 0 * steps
        blocks = philox(SEED, units, at // 4, runs << 16, fnv1a(stream))
        return np.take_along_axis(blocks, at[..., np.newaxis] % 4, axis=-1)[..., 0]
    fours = np.arange((n_indices + 3) // 4)[:, np.newaxis]
    blocks = philox(SEED, units, steps, (runs << 16) + fours, fnv1a(stream))
    flat = blocks.swapaxes(2, 3).reshape(RUNS * STEPS, fours.size * 4, units.size)
    return flat[:, :n_indices]


def order(kind: str, stage: int, p: int, m: int, v: int) -> list[Pass]:
    """Return the passes of a stage: warm-up, pairs, cool-down, and delayed weight passes."""
    places = [(j, 0) for j in range(m)]
    if kind == "interleaved":
        rows = range(0, m, p)
        places = [(j, c) for row in rows for c in range(v) for j in range(row, row + p)]
    ahead = {"gpipe": m, "interleaved": 2 * (p - stage - 1) + (v - 1) * p}
    n = min(ahead.get(kind, p - stage - 1), len(places))
    forward = [(F, j, c) for j, c in places]
    backward = [(B, j, v - 1 - c) for j, c in places]
    pairs = chain.from_iterable(zip_longest(forward[n:], backward))
    passes = [*forward[:n], *(one for one in pairs if one)]
    if kind != "zero-bubble":
        return passes
    late = [[one, (W, one[1] - stage, 0)] if one[0] == B else [one] for one in passes]
    filled = [one for one in chain.from_iterable(late) if one[1] >= 0]
    return filled + [(W, j, 0) for j in range(max(m - stage, 0), m)]


@dataclass(frozen=True, kw_only=True)
class Gangs:
    """Which ranks wait for each other: the place of each rank, in physical order."""

    pool: Places
    unit: dict[str, Counts]
    gang: Places
    stage: Places
    p: int

    @classmethod
    def of(cls, pools: list[Spec], pipe: Spec, order: str) -> Gangs:
        p, c, mixed = pipe["stages"], pipe["context"], pipe["placement"] == "mixed"
        ranks: list[dict[str, int]] = []
        # Tensor groups are numbered pool by pool, or over one pool after another.
        groups = [(index, place) for index, n in enumerate(used(pools, pipe)) for place in range(n)]
        together = (
            [groups]
            if mixed
            else [[group for group in groups if group[0] == index] for index in range(len(pools))]
        )
        gang = 0
        for some in together:
            sizes = {"cp": c, "dp": len(some) // (p * c), "pp": p}
            for number, (index, place) in enumerate(some):
                left, at = number, {}
                for name in order.split("-"):
                    left, at[name] = divmod(left, sizes[name])
                first = first_gpu(pools[index], place)
                ranks += [
                    {
                        "pool": index,
                        "gpu": gpu,
                        "replica": at["dp"],
                        "gang": gang + at["dp"] // pipe["gang_replicas"],
                        "stage": at["pp"],
                    }
                    for gpu in range(first, first + pools[index]["tensor_gpus"])
                ]
            gang += -(-sizes["dp"] // pipe["gang_replicas"])
        columns = {name: np.array([rank[name] for rank in ranks]) for name in ranks[0]}
        gpus = columns["gpu"]
        sizes = {
            name: np.array([pool[f"{name}_gpus"] or 1 for pool in pools])[columns["pool"]]
            for name in ("node", "domain", "rack")
        }
        unit = {"gpu": gpus, "replica": columns["replica"]}
        unit |= {name: gpus // size for name, size in sizes.items()}
        unit |= {"pool": 0 * gpus, "cluster": 0 * gpus}
        return cls(
            pool=columns["pool"],
            unit={name: each.astype(np.uint64) for name, each in unit.items()},
            gang=columns["gang"],
            stage=columns["stage"],
            p=p,
        )

    def reaches_several_stages(self, scope: str) -> NDArray[np.bool_]:
        """Tell for each rank whether some unit in its pool holds several stages of one gang."""
        if scope in ("replica", "pool", "cluster"):
            return np.full(self.pool.size, self.p > 1)
        stages: dict[tuple[int, ...], set[int]] = {}
        places = zip(self.pool, self.unit[scope], self.gang, self.stage, strict=True)
        for pool, unit, gang, stage in places:
            stages.setdefault((int(pool), int(unit), int(gang)), set()).add(int(stage))
        pools = {key[0] for key, several in stages.items() if len(several) > 1}
        return np.isin(self.pool, list(pools))

    @cached_property
    def _by_stage(self) -> tuple[Places, Places]:
        """Ranks stage by stage of gang after gang, and where each stage begins."""
        at = self.gang * self.p + self.stage
        ranks = np.argsort(at, kind="stable")
        return ranks, np.flatnonzero(np.diff(at[ranks], prepend=-1))

    def worst(self, values: Floats) -> Floats:
        """Return the largest of each stage of each gang; ranks are the last axis."""
        ranks, starts = self._by_stage
        worst = np.maximum.reduceat(values[..., ranks], starts, axis=-1)
        return np.asarray(worst.reshape(*values.shape[:-1], -1, self.p))

    @cached_property
    def pool_of_stage(self) -> Places:
        return self.worst(self.pool.astype(np.float64)).astype(np.intp)


def of_domain(pool: Spec) -> int:
    """Return how many GPUs of a domain may work."""
    used: int = pool.get("domain_gpus_used") or pool["domain_gpus"]
    return used


def tensor_groups(pool: Spec) -> int:
    """Return how many fit into the used parts of domains."""
    domains = pool["n_gpus"] // of_domain(pool)
    return int(domains * (of_domain(pool) // pool["tensor_gpus"]))


def used(pools: list[Spec], pipe: Spec) -> list[int]:
    """Return how many tensor groups of each pool fill replicas; the last ones are left over."""
    p, c = pipe["stages"], pipe["context"]
    if pipe["placement"] == "aligned":
        return [tensor_groups(pool) // (p * c) * p * c for pool in pools]
    counts = [tensor_groups(pool) // c * c for pool in pools]
    over = sum(counts) % (p * c)
    for index in reversed(range(len(counts))):
        counts[index], over = max(counts[index] - over, 0), max(over - counts[index], 0)
    return counts


def first_gpu(pool: Spec, place: int) -> int:
    n = of_domain(pool) // pool["tensor_gpus"]
    return int(place // n * pool["domain_gpus"] + place % n * pool["tensor_gpus"])


@dataclass(frozen=True)
class Case:
    """A plan of gangs, and what the contract says of it; the first axis is the row."""

    pools: list[Spec]
    causes: list[Spec]
    pipe: Spec
    terms: tuple[Spec, ...] = ()
    overlap_fraction: float = 0.0
    order: str = ""
    """Order of dimensions; by default stages side by side, and apart where they are mixed."""

    def plan(self, instructions: str | None = None) -> _core.Plan:
        return _core.Plan(
            pools=self.pools,
            causes=self.causes,
            terms=self.terms,
            overlap_fraction=self.overlap_fraction,
            pipeline=self.pipe,
            order=self.full_order,
            instructions=instructions,
        )

    @property
    def full_order(self) -> str:
        return self.order or ("cp-dp-pp" if self.is_mixed else "cp-pp-dp")

    @cached_property
    def gangs(self) -> Gangs:
        return Gangs.of(self.pools, self.pipe, self.full_order)

    @property
    def is_mixed(self) -> bool:
        return bool(self.pipe["placement"] == "mixed")

    def base(self, name: str) -> Floats:
        """Return seconds of each gang's virtual stages, or of its stages."""
        rows = np.array([np.atleast_1d(times[name] or 0.0) for times in self.pipe["times"]])
        k = np.arange(self.gangs.p * self.pipe["chunks"])
        return np.asarray(rows[self.gangs.pool_of_stage[:, k % self.gangs.p], k % rows.shape[1]])

    @cached_property
    def work_s(self) -> Floats:
        """Seconds of a step of each stage of each pool that no cause touches."""
        m, p, times = self.pipe["microbatches"], self.pipe["stages"], self.pipe["times"]
        passes = np.array([[np.zeros(len(t[F])) + (t[x] or 0.0) for x in (F, B, W)] for t in times])
        overhead = np.array([[t["overhead_s"]] for t in times])
        return np.asarray(m * passes.reshape(len(times), -1, p).sum(axis=1) + overhead)

    @cached_property
    def draws(self) -> dict[str, Floats]:
        """Each cause's numbers by row, index and rank, neutral where it does not occur."""
        return {cause["name"]: self.drawn(cause) for cause in self.causes}

    def drawn(self, cause: Spec) -> Floats:
        m = self.pipe["microbatches"]
        n = {"microbatch": m, "layer": 2 * m * sum(self.pipe["layers"])}.get(cause["span"], 1)
        drawn = np.full((RUNS * STEPS, n, self.gangs.pool.size), neutral(cause))
        together = self.is_mixed and cause["scope"] == "replica"
        for index in set(cause["pools"]) & set(self.gangs.pool.tolist()):
            here = np.flatnonzero(self.gangs.pool == index)
            units, back = np.unique(self.gangs.unit[cause["scope"]][here], return_inverse=True)
            pool = self.pools[0 if together else index]["name"]
            pool = "" if cause["scope"] == "cluster" else pool
            drawn[..., here] = numbers(cause, f"{pool}/{cause['name']}", units, n)[..., back]
        return drawn

    def product(self, *spans: str) -> Floats | float:
        factors = [
            self.draws[cause["name"]]
            for cause in self.causes
            if cause["effect"] == "slowdown" and cause["span"] in spans
        ]
        return np.asarray(np.prod(factors, axis=0)) if factors else 1.0

    def is_shared(self, cause: Spec) -> NDArray[np.bool_]:
        """Tell for each rank whether a stall stops its whole gang at once."""
        scope = cause["scope"]
        if cause["span"] == "microbatch":
            alone = self.pipe["gang_replicas"] == 1
            is_shared = {"replica": alone, "pool": not self.is_mixed, "cluster": True}
            return np.full(self.gangs.pool.size, is_shared.get(scope, False))
        return self.gangs.reaches_several_stages(scope)

    def stalls(self, *spans: str) -> tuple[Floats, Floats]:
        """Return, by row and index, what stages lose alone and what gangs lose at once."""
        n = self.pipe["microbatches"] if "microbatch" in spans else 1
        own, shared = np.zeros((2, RUNS * STEPS, n, self.gangs.pool.size))
        for cause in self.causes:
            if cause["effect"] == "stall" and cause["span"] in spans:
                own += self.draws[cause["name"]] * ~self.is_shared(cause)
                shared += self.draws[cause["name"]] * self.is_shared(cause)
        return self.gangs.worst(own), self.gangs.worst(shared).max(axis=-1)

    @cached_property
    def slowdown(self) -> Floats:
        """Return the product of each rank's persistent slowdowns and those of the step."""
        ones = np.ones((RUNS * STEPS, 1, self.gangs.pool.size))
        return np.asarray(ones * self.product("run", "step"))

    def factors(self) -> tuple[Floats, Floats]:
        """Return what multiplies forward and backward passes: microbatch, gang, virtual stage."""
        p, m, layers = (self.pipe[name] for name in ("stages", "microbatches", "layers"))
        by_rank = self.slowdown * self.product("microbatch") * np.ones((m, 1))
        one = self.gangs.worst(by_rank)[..., np.arange(len(layers)) % p]
        if not any(layers) or all(cause["span"] != "layer" for cause in self.causes):
            return one, one
        each = np.asarray(self.product("layer")).reshape(-1, m, 2, sum(layers), by_rank.shape[-1])
        worst = self.gangs.worst(each * by_rank[:, :, np.newaxis, np.newaxis])
        ends = np.cumsum([0, *layers])
        both = np.stack([one, one], axis=2)  # A stage without layers has no more.
        for k in np.flatnonzero(layers):
            both[..., k] = worst[:, :, :, ends[k] : ends[k + 1], :, k % p].mean(axis=3)
        return both[:, :, 0], both[:, :, 1]

    def ends(self, stall: Floats) -> Floats:
        """Return when each stage of each gang ends its last pass."""
        p, v, m = (self.pipe[name] for name in ("stages", "chunks", "microbatches"))
        forward, backward = self.factors()
        last = {F: forward * self.base(F), B: backward * self.base(B), W: backward * self.base(W)}
        far = self.transfers()
        ended: dict[Pass, Floats] = {}
        todo = [order(self.pipe["kind"], stage, p, m, v) for stage in range(p)]
        now = np.zeros(stall[:, 0].shape)
        while any(todo):
            n_before = len(ended)
            for stage, passes in enumerate(todo):
                while passes:
                    name, j, chunk = passes[0]
                    k = chunk * p + stage
                    source = before(name, j, k, p * v)
                    if source is not None and source not in ended:
                        break
                    begin = now[..., stage]
                    if source is not None and source[2] == k:
                        begin = np.maximum(begin, ended[source])
                    elif source is not None:
                        link = (stage - 1) % p if name == F else stage
                        begin = np.maximum(begin, ended[source] + far[:, link])
                    if name == F and chunk == 0:
                        begin = begin + stall[:, j, :, stage]
                    now[..., stage] = ended[name, j, k] = begin + last[name][:, j, :, k]
                    passes.pop(0)
            assert len(ended) > n_before, "a schedule that waits for itself"
        return now

    def transfers(self) -> Floats:
        """Return the seconds of a transfer by gang and link; link s joins stages s and s + 1."""
        p, gangs = self.pipe["stages"], self.gangs
        of_pools = np.array([np.broadcast_to(t["transfer_s"], p) for t in self.pipe["times"]])
        if not self.is_mixed:
            return np.asarray(of_pools[gangs.pool_of_stage[:, 0]] * (p > 1))
        # Where replicas spread, a transfer takes what it takes in the slowest of the pools that
        # hold one of its stages.
        holds = np.array(
            [np.isin(range(p), gangs.stage[gangs.pool == g]) for g in range(len(of_pools))]
        )
        both = holds | np.roll(holds, -1, axis=1)
        return np.tile((of_pools * both).max(axis=0) * (p > 1), (len(gangs.pool_of_stage), 1))

    def rows(self) -> tuple[Floats, Floats, Floats, Places]:
        """Return `compute_s`, `stall_s`, `exposed_comm_s` and `slowest`.

        A step waits for the gang with which it takes longest.
        """
        at_stage, shared = self.stalls("microbatch")
        first, once = (each[:, 0] for each in self.stalls("run", "step"))
        at_stage[:, 0] += first
        once = once + shared.sum(axis=1)
        factor = self.gangs.worst(self.slowdown)[:, 0]
        overhead = self.base("overhead_s")[:, : self.gangs.p]
        gang_s = (self.ends(at_stage) + overhead * factor).max(axis=-1) + once
        free_s = (self.ends(np.zeros_like(at_stage)) + overhead * factor).max(axis=-1)
        stall_s = gang_s - free_s
        exposed_s = self.exposed(free_s)
        slowest = (gang_s + exposed_s).argmax(axis=-1)
        row, pools = np.arange(slowest.size), self.gangs.pool_of_stage[slowest]
        work_s = factor[row, slowest] * self.work_s[pools, np.arange(self.gangs.p)]
        pool = pools[row, work_s.argmax(axis=-1)]
        of_slowest = (each[row, slowest] for each in (gang_s, stall_s, exposed_s))
        return *of_slowest, pool

    def exposed(self, own_s: Floats) -> Floats:
        """Return the seconds of all terms that each gang's own work would not hide.

        Where gangs spread over pools, all have the narrowest window.
        """
        exposed = np.zeros_like(own_s)
        for term in self.terms:
            took = np.max(np.add(term["latency_s"], term["transfer_s"]))
            shares = np.array(term["window_share"])
            share = shares.min() if self.is_mixed else shares[self.gangs.pool_of_stage[:, 0]]
            window = self.overlap_fraction * share * own_s
            exposed += np.maximum(took / term["n_buckets"], took - window)
        return exposed

    def rank_times(self) -> Floats:
        """Return what each rank takes by itself, by row and rank."""
        p, m, layers = (self.pipe[name] for name in ("stages", "microbatches", "layers"))
        pool, stage = self.gangs.pool, self.gangs.stage
        named = self.pipe["times"]
        by_rank = self.slowdown * self.product("microbatch") * np.ones((m, 1))
        each = np.ones((2, sum(layers), 1)) * by_rank[:, :, np.newaxis, np.newaxis]
        if any(layers) and any(cause["span"] == "layer" for cause in self.causes):
            each = each * np.reshape(self.product("layer"), (-1, m, 2, sum(layers), pool.size))
        ends = np.cumsum([0, *layers])
        times = self.slowdown[:, 0] * np.array([named[g]["overhead_s"] for g in pool])
        for k in range(len(layers)):
            both = by_rank[:, :, np.newaxis]
            if layers[k]:
                both = each[:, :, :, ends[k] : ends[k + 1]].mean(axis=3)
            weight = [named[g]["weight_s"][k] if named[g]["weight_s"] else 0.0 for g in pool]
            backward = np.array([named[g]["backward_s"][k] for g in pool]) + weight
            passes = np.array([named[g]["forward_s"][k] for g in pool]) * both[:, :, 0]
            times = times + (stage == k % p) * (passes + backward * both[:, :, -1]).sum(axis=1)
        stalls = [cause["name"] for cause in self.causes if cause["effect"] == "stall"]
        return np.asarray(sum((self.draws[name].sum(axis=1) for name in stalls), start=times))

    def means(self) -> tuple[Floats, Floats]:
        """Return `busy_s` and `own_stall_s`, one after another by run and pool."""
        shape = (RUNS, len(self.pools))
        busy = np.ones(shape) * [
            np.bincount(self.gangs.stage[self.gangs.pool == g], minlength=self.gangs.p)
            @ self.work_s[g]
            / max((self.gangs.pool == g).sum(), 1)
            for g in range(shape[1])
        ]
        stall = np.zeros(shape)
        slow = np.ones((RUNS, self.gangs.pool.size))
        for cause in self.causes:
            of_run = self.draws[cause["name"]][::STEPS, :1].sum(axis=1)
            often = {"microbatch": self.pipe["microbatches"]}.get(cause["span"], 1)
            acts = np.isin(np.arange(len(self.pools)), cause["pools"]) * cause["probability"]
            mean = _core.Law(cause["law"]).mean()
            if cause["effect"] == "slowdown" and cause["span"] == "run":
                slow *= of_run
            elif cause["effect"] == "slowdown":
                busy *= 1.0 + acts * (mean - 1.0)
            elif cause["span"] == "run":
                stall += np.stack([self.of_pool(of_run, g) for g in range(len(acts))], axis=-1)
            else:
                stall += acts * mean * often
        busy *= np.stack([self.of_pool(slow, g) for g in range(shape[1])], axis=-1)
        return busy.ravel(), stall.ravel()

    def of_pool(self, values: Floats, index: int) -> Floats:
        here = self.gangs.pool == index
        return np.asarray(values[:, here].sum(axis=-1) / max(here.sum(), 1))


def before(name: str, j: int, k: int, n: int) -> Pass | None:
    """Return the pass whose result a pass of a virtual stage waits for."""
    if name == F:
        return (F, j, k - 1) if k else None
    if name == B:
        return (B, j, k + 1) if k < n - 1 else (F, j, k)
    return (B, j, k)


def neutral(cause: Spec) -> float:
    return 1.0 if cause["effect"] == "slowdown" else 0.0


def numbers(cause: Spec, stream: str, units: Counts, n_indices: int) -> Floats:
    """Return a cause's numbers by row, index and unit."""
    value, refine, occurrence, choice = (
        words(f"{stream}/{use}", units, cause["span"], n_indices)
        for use in ("value", "refine", "occurrence", "component")
    )
    occurs = is_below((occurrence << HALF) | refine, cause["probability"])
    at, weight = (choice << HALF) | refine, 1.0
    drawn = np.full(value.shape, neutral(cause))
    components = cause["law"].get("components", [{"weight": 1.0, "law": cause["law"]}])
    for component in reversed(components):
        word, more = (each.ravel().astype(np.uint32) for each in (value, refine))
        sizes = _core.Law(component["law"]).values(word, more).reshape(at.shape)
        drawn = np.where(occurs & is_below(at, weight), sizes, drawn)
        weight -= component["weight"]
    return drawn
