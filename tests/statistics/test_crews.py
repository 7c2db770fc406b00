"""A second engine for crews, in NumPy, that must find the rows of `sample`.

It shares the values of laws with the core and nothing else: the layout, the addresses,
the four orders of passes and their times are written here once more. It knows no
shortcut: every rank has its number in every layer, and what a crew shares is drawn for
each of its ranks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, zip_longest
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hindmost import _core

Floats = NDArray[np.float64]
Counts = NDArray[np.uint64]
Places = NDArray[np.intp]
Spec = dict[str, Any]
Pass = tuple[str, int, int]  # of a microbatch and a chunk

SEED = 0x7A3F19C5_0B6DE281
RUNS, STEPS = 2, 5
RELATIVE = 2e-6
KINDS = ("gpipe", "1f1b", "interleaved", "zero-bubble")
SCOPES = ("gpu", "node", "domain", "rack", "replica", "pool", "cluster")
SPANS = ("run", "step", "microbatch", "layer")
F, B, W = "forward_s", "backward_s", "weight_s"
HALF, LOW = np.uint64(32), np.uint64(2**32 - 1)


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


def words(stream: str, units: Counts, span: str, run: int, step: int, n: int) -> Counts:
    """Return the words of a stream, one row an index; without indices there is one."""
    c3 = fnv1a(stream)
    if span in ("run", "step"):
        at = 0 if span == "run" else step
        return philox(SEED, units, at // 4, run << 16, c3)[np.newaxis, :, at % 4]
    fours = np.arange((n + 3) // 4)[:, np.newaxis]
    blocks = philox(SEED, units, step, (run << 16) + fours, c3)
    return blocks.swapaxes(1, 2).reshape(-1, units.size)[:n]


def is_below(at: Counts, probability: float) -> NDArray[np.bool_]:
    """Compare 64 bits with a probability, in integers."""
    threshold = int(probability * 2.0**64)
    return at < np.uint64(threshold) if threshold < 2**64 else np.ones(at.shape, dtype=bool)


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
class Crews:
    """Who waits for whom: for each rank in physical order its place."""

    group: Places
    unit: dict[str, Counts]
    crew: Places
    stage: Places
    p: int

    @classmethod
    def of(cls, groups: list[Spec], pipe: Spec) -> Crews:
        p, c, mixed = pipe["stages"], pipe["context_groups"], pipe["placement"] == "mixed"
        ranks: list[dict[str, int]] = []
        n_slots = sum(tensor_groups(group) // c for group in groups)
        slot = crew = 0
        for index, group in enumerate(groups):
            n = tensor_groups(group)
            for place in range(n // c * c if mixed else n // (p * c) * p * c):
                here = slot + place // c
                stage, replica = here // (n_slots // p), here % (n_slots // p)
                if not mixed:
                    replica, stage = place // (p * c), place % (p * c) // c
                if stage < p:
                    first = first_gpu(group, place)
                    own = replica if mixed else crew + replica // pipe["crew_replicas"]
                    ranks += [
                        {"group": index, "gpu": gpu, "replica": replica, "crew": own, "stage": stage}
                        for gpu in range(first, first + group["tensor_gpus"])
                    ]
            slot += n // c
            crew = ranks[-1]["crew"] + 1
        columns = {name: np.array([rank[name] for rank in ranks]) for name in ranks[0]}
        gpus = columns["gpu"]
        sizes = {
            name: np.array([group[f"{name}_gpus"] or 1 for group in groups])[columns["group"]]
            for name in ("node", "domain", "rack")
        }
        unit = {"gpu": gpus, "replica": columns["replica"]}
        unit |= {name: gpus // size for name, size in sizes.items()}
        unit |= {"pool": 0 * gpus, "cluster": 0 * gpus}
        return cls(
            group=columns["group"],
            unit={name: each.astype(np.uint64) for name, each in unit.items()},
            crew=columns["crew"],
            stage=columns["stage"],
            p=p,
        )

    @cached_property
    def _by_stage(self) -> tuple[Places, Places]:
        """Ranks stage by stage of crew after crew, and where each stage begins."""
        at = self.crew * self.p + self.stage
        ranks = np.argsort(at, kind="stable")
        return ranks, np.flatnonzero(np.diff(at[ranks], prepend=-1))

    def worst(self, values: Floats) -> Floats:
        """Return the largest of each stage of each crew; ranks are the last axis."""
        ranks, starts = self._by_stage
        worst = np.maximum.reduceat(values[..., ranks], starts, axis=-1)
        return np.asarray(worst.reshape(*values.shape[:-1], -1, self.p))

    @cached_property
    def group_of_stage(self) -> Places:
        return self.worst(self.group.astype(np.float64)).astype(np.intp)


def tensor_groups(group: Spec) -> int:
    """Return how many fit into full domains."""
    domains = group["n_gpus"] // group["domain_gpus"]
    return int(domains * (group["domain_gpus"] // group["tensor_gpus"]))


def first_gpu(group: Spec, place: int) -> int:
    of_domain = group["domain_gpus"] // group["tensor_gpus"]
    inside = place % of_domain * group["tensor_gpus"]
    return int(place // of_domain * group["domain_gpus"] + inside)


@dataclass(frozen=True)
class Case:
    """A plan of crews, and what the contract says of its steps."""

    groups: list[Spec]
    causes: list[Spec]
    pipe: Spec
    tables: dict[str, list[tuple[float, _core.Law]]] = field(default_factory=dict)

    def plan(self, instructions: str | None = None) -> _core.Plan:
        return _core.Plan(
            groups=self.groups,
            causes=self.causes,
            terms=[],
            overlap_fraction=0.5,
            pipeline=self.pipe,
            instructions=instructions,
        )

    @cached_property
    def crews(self) -> Crews:
        return Crews.of(self.groups, self.pipe)

    def base(self, name: str) -> Floats:
        """Return the seconds of each virtual stage of each crew."""
        p, v = self.pipe["stages"], self.pipe["chunks"]
        none = [0.0] * (p * v)
        rows = np.array([times[name] or none for times in self.pipe["times"]])
        k = np.arange(p * v)
        return np.asarray(rows[self.crews.group_of_stage[:, k % p], k])

    def scalar(self, name: str) -> Floats:
        rows = np.array([times[name] for times in self.pipe["times"]])
        return np.asarray(rows[self.crews.group_of_stage])

    @cached_property
    def work_s(self) -> Floats:
        """Seconds of a step of each stage of each group that no cause touches."""
        p, m = self.pipe["stages"], self.pipe["microbatches"]
        rows = [
            m * np.sum([np.reshape(t[x], (-1, p)).sum(axis=0) for x in (F, B, W) if t[x]], axis=0)
            + t["overhead_s"]
            for t in self.pipe["times"]
        ]
        return np.array(rows)

    @cached_property
    def n_indices(self) -> dict[str, int]:
        m = self.pipe["microbatches"]
        return {"run": 1, "step": 1, "microbatch": m, "layer": 2 * m * sum(self.pipe["layers"])}

    def parts(self, cause: Spec) -> list[tuple[float, _core.Law]]:
        if cause["name"] not in self.tables:
            parts = cause["law"].get("components", [{"weight": 1.0, "law": cause["law"]}])
            self.tables[cause["name"]] = [(x["weight"], _core.Law(x["law"])) for x in parts]
        return self.tables[cause["name"]]

    def draws(self, cause: Spec, run: int, step: int) -> Floats:
        """Return one number an index and rank, neutral where the cause does not occur."""
        group, n = self.crews.group, self.n_indices[cause["span"]]
        drawn = np.full((n, group.size), 1.0 if cause["effect"] == "slowdown" else 0.0)
        unit = self.crews.unit[cause["scope"]]
        is_shared = cause["scope"] == "cluster" or (
            cause["scope"] == "replica" and self.pipe["placement"] == "mixed"
        )
        if is_shared:
            group = 0 * group
        for index in {int(x) for x in cause["groups"]} if not is_shared else {0}:
            here = np.flatnonzero(group == index)
            units, back = np.unique(unit[here], return_inverse=True)
            pool = "" if cause["scope"] == "cluster" else self.groups[index]["name"]
            drawn[:, here] = self.numbers(cause, f"{pool}/{cause['name']}", units, run, step)[
                :, back
            ]
        drawn[:, ~np.isin(self.crews.group, cause["groups"])] = drawn.dtype.type(
            cause["effect"] == "slowdown"
        )
        return drawn

    def numbers(self, cause: Spec, stream: str, units: Counts, run: int, step: int) -> Floats:
        value, refine, occurrence, choice = (
            words(f"{stream}/{use}", units, cause["span"], run, step, self.n_indices[cause["span"]])
            for use in ("value", "refine", "occurrence", "component")
        )
        drawn = np.full(value.shape, 1.0 if cause["effect"] == "slowdown" else 0.0)
        occurs = is_below((occurrence << HALF) | refine, cause["probability"])
        at, weight = (choice << HALF) | refine, 1.0
        for share, law in reversed(self.parts(cause)):
            flat = law.values(value.ravel().astype(np.uint32), refine.ravel().astype(np.uint32))
            drawn = np.where(occurs & is_below(at, weight), flat.reshape(at.shape), drawn)
            weight -= share
        return drawn

    def product(self, spans: tuple[str, ...], run: int, step: int) -> Floats:
        """Return the product of the slowdowns of spans, by index and rank."""
        product = np.ones((self.n_indices[spans[0]], self.crews.group.size))
        for cause in self.causes:
            if cause["effect"] == "slowdown" and cause["span"] in spans:
                product = product * self.draws(cause, run, step)
        return product

    def is_narrow(self, cause: Spec, group: Spec) -> bool:
        """Tell whether a unit of a scope is at most as large as a stage."""
        if self.pipe["stages"] == 1 or cause["scope"] == "gpu":
            return True
        if cause["scope"] not in ("node", "domain", "rack"):
            return False
        stage_gpus = self.pipe["context_groups"] * group["tensor_gpus"]
        return bool(group[f"{cause['scope']}_gpus"] <= stage_gpus)

    def is_shared(self, cause: Spec) -> bool:
        mixed = self.pipe["placement"] == "mixed"
        if cause["scope"] == "replica":
            return bool(self.pipe["crew_replicas"] == 1)
        return cause["scope"] == "cluster" or (cause["scope"] == "pool" and not mixed)

    def stalls(self, spans: tuple[str, ...], run: int, step: int) -> tuple[Floats, Floats]:
        """Return what ranks lose by themselves and what they lose with their crew."""
        own = np.zeros((self.n_indices[spans[0]], self.crews.group.size))
        wide = own.copy()
        for cause in self.causes:
            if cause["effect"] == "stall" and cause["span"] in spans:
                drawn = self.draws(cause, run, step)
                if cause["span"] == "microbatch":
                    together = np.full(len(self.groups), self.is_shared(cause))
                else:
                    together = np.array([not self.is_narrow(cause, g) for g in self.groups])
                where = together[self.crews.group]
                own += np.where(where, 0.0, drawn)
                wide += np.where(where, drawn, 0.0)
        return own, wide

    def factors(self, slowdown: Floats, run: int, step: int) -> tuple[Floats, Floats]:
        """Return what multiplies forward and backward passes: microbatch, crew, virtual stage."""
        p, v, m = (self.pipe[name] for name in ("stages", "chunks", "microbatches"))
        k = np.arange(p * v) % p
        by_rank = slowdown * self.product(("microbatch",), run, step)
        if not any(cause["span"] == "layer" for cause in self.causes):
            one = self.crews.worst(by_rank)[..., k]
            return one, one
        layers = self.product(("layer",), run, step).reshape(m, 2, -1, by_rank.shape[-1])
        worst = self.crews.worst(layers * by_rank[:, np.newaxis, np.newaxis])
        ends = np.cumsum([0, *self.pipe["layers"]])
        mean = [worst[:, :, ends[i] : ends[i + 1], :, i % p].mean(axis=2) for i in range(p * v)]
        both = np.stack(mean, axis=-1)
        return both[:, 0], both[:, 1]

    def ends(self, forward: Floats, backward: Floats, stall: Floats) -> Floats:
        """Return when each stage of each crew ends its last pass."""
        pipe, (n_crews, p) = self.pipe, stall.shape[1:]
        v, m = pipe["chunks"], pipe["microbatches"]
        lasts = {
            F: forward * self.base(F),
            B: backward * self.base(B),
            W: backward * self.base(W),
        }
        transfer = self.scalar("transfer_s") * (p > 1)
        ended: dict[tuple[str, int, int], Floats] = {}
        todo = [order(pipe["kind"], stage, p, m, v) for stage in range(p)]
        now = np.zeros((n_crews, p))
        while any(todo):
            n_before = len(ended)
            for stage, passes in enumerate(todo):
                while passes:
                    name, j, chunk = passes[0]
                    k = chunk * p + stage
                    come = self.come(ended, name, j, k, p * v, transfer)
                    if come is None:
                        break
                    begin = np.maximum(now[:, stage], come)
                    if name == F and chunk == 0:
                        begin = begin + stall[j, :, stage]
                    now[:, stage] = ended[name, j, k] = begin + lasts[name][j, :, k]
                    passes.pop(0)
            assert len(ended) > n_before, "a schedule that waits for itself"
        return now

    @staticmethod
    def come(
        ended: dict[tuple[str, int, int], Floats], name: str, j: int, k: int, n: int, far: Floats
    ) -> Floats | None:
        """Return when the input of a pass is there, or nothing while that is unknown."""
        p = far.shape[1]
        if name == F and k == 0:
            return np.zeros(len(far))
        if name == F:
            source, by = (F, j, k - 1), far[:, (k - 1) % p]
        elif name == B and k < n - 1:
            source, by = (B, j, k + 1), far[:, (k + 1) % p]
        else:
            source, by = (F if name == B else B, j, k), np.zeros(len(far))
        return ended[source] + by if source in ended else None

    def row(self, run: int, step: int) -> tuple[float, float, int]:
        """Return `compute_s`, `stall_s` and `slowest` of a step."""
        slowdown = self.product(("run", "step"), run, step)[0]
        own, wide = self.stalls(("run", "step"), run, step)
        each, shared = self.stalls(("microbatch",), run, step)
        at_stage = self.crews.worst(each)
        at_stage[0] += self.crews.worst(own[0])
        at_stage[..., 0] += self.crews.worst(shared).max(axis=-1)
        once = self.crews.worst(wide[0]).max(axis=-1)
        stage_factor = self.crews.worst(slowdown)
        ends = self.ends(*self.factors(slowdown, run, step), at_stage)
        crew_s = (ends + self.scalar("overhead_s") * stage_factor).max(axis=-1) + once
        slowest = int(crew_s.argmax())
        stall_s = at_stage.sum(axis=(0, 2)) + once
        groups = self.crews.group_of_stage[slowest]
        most = (stage_factor[slowest] * self.work_s[groups, np.arange(self.crews.p)]).argmax()
        return float(crew_s[slowest]), float(stall_s[slowest]), int(groups[most])
