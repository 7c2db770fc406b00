"""Traces of jobs that never ran, in the columns of ByteDance's StragglerAnalysis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from hindmost import _core

COLUMNS = (
    "dp_rank",
    "stage",
    "rank",
    "step",
    "optype",
    "start_ts",
    "duration",
    "seq_id",
    "mc",
    "mb_id",
    "gmc",
)

Draw = Callable[[str, int, int], float]
"""Seconds of an operation, by its type, data-parallel rank and stage."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a job looks like."""

    stages: int = 2
    replicas: int = 2
    chunks: int = 1
    microbatches: int = 4
    schedule: str = "1f1b"
    steps: int = 2
    overlapped: bool = False
    """Whether gradients are scattered while backward passes go on."""
    empty_transfers: bool = False
    """Whether transfers at the ends of the model are recorded, which move nothing."""


def random_draw(seed: int, *, slow: dict[tuple[int, int], float] | None = None) -> Draw:
    """Return operations of random length, those of some workers slower."""
    rng = np.random.default_rng(seed)
    mean_s = {"forward-compute": 0.1, "backward-compute": 0.2, "optimizer": 0.05, "gc": 0.001}

    def draw(kind: str, replica: int, stage: int) -> float:
        factor = (slow or {}).get((replica, stage), 1.0) if kind in mean_s else 1.0
        return float(mean_s.get(kind, 0.004) * rng.lognormal(0.0, 0.2) * factor)

    return draw


def wavy_draw(*, slow: dict[tuple[int, int], float] | None = None) -> Draw:
    """Return operations whose length goes up and down, those of some workers slower.

    They are the same ones on every machine.
    """
    mean_s = {"forward-compute": 0.1, "backward-compute": 0.2, "optimizer": 0.05, "gc": 0.001}
    n = 0

    def draw(kind: str, replica: int, stage: int) -> float:
        nonlocal n
        n += 1
        factor = (slow or {}).get((replica, stage), 1.0) if kind in mean_s else 1.0
        return mean_s.get(kind, 0.004) * factor * (1 + (n * n % 97) / 300)

    return draw


def traced_job(shape: Shape, draw: Draw) -> pl.DataFrame:
    """Return the trace of a job whose operations take what `draw` says."""
    rows = [row for step in range(shape.steps) for row in _Step(shape, draw, step).rows()]
    return pl.DataFrame(rows, schema=list(COLUMNS), orient="row")


class _Step:
    """One step of a job, whose operations are put one after another in time."""

    def __init__(self, shape: Shape, draw: Draw, step: int) -> None:
        self.shape, self.draw, self.step = shape, draw, step
        self.found: dict[tuple[int, int], list[tuple[str, float, float, int, int, int]]] = {}

    def rows(self) -> list[tuple[Any, ...]]:
        workers = [(r, s) for r in range(self.shape.replicas) for s in range(self.shape.stages)]
        self.found = {worker: [] for worker in workers}
        free_s = dict.fromkeys(workers, 0.0)
        for chunk in range(self.shape.chunks):
            for stage in range(self.shape.stages):
                self.together(
                    "params-all-gather",
                    [(r, stage) for r in range(self.shape.replicas)],
                    free_s,
                    chunk,
                )
        gathered_s = dict(free_s)
        ended = {r: self.passes(r, gathered_s) for r in range(self.shape.replicas)}
        free_s = {(r, s): ended[r][s] for r, s in workers}
        if self.shape.overlapped:
            self.scatters(free_s)
        for worker in workers:
            for kind in ("gc", "layernorm-grads-all-reduce"):
                self.alone(kind, worker, free_s)
        for r in range(self.shape.replicas):
            ends = sorted({0, self.shape.stages - 1})
            self.together("embedding-grads-all-reduce", [(r, s) for s in ends], free_s)
        if self.shape.overlapped:
            for stage in range(self.shape.stages):
                self.together(
                    "separate-grads-all-reduce",
                    [(r, stage) for r in range(self.shape.replicas)],
                    free_s,
                )
        else:
            self.scatters(free_s)
        self.together("optimizer-clip-main-grad", workers, free_s)
        for worker in workers:
            self.alone("optimizer", worker, free_s)
        return [row for worker in workers for row in self.numbered(worker)]

    def scatters(self, free_s: dict[tuple[int, int], float]) -> None:
        for chunk in reversed(range(self.shape.chunks)):
            for stage in range(self.shape.stages):
                self.together(
                    "grads-reduce-scatter",
                    [(r, stage) for r in range(self.shape.replicas)],
                    free_s,
                    chunk,
                )

    def alone(
        self, kind: str, worker: tuple[int, int], free_s: dict[tuple[int, int], float]
    ) -> None:
        begin_s = free_s[worker]
        free_s[worker] = begin_s + self.draw(kind, *worker)
        self.add(worker, kind, begin_s, free_s[worker])

    def together(
        self,
        kind: str,
        workers: list[tuple[int, int]],
        free_s: dict[tuple[int, int], float],
        chunk: int = -1,
    ) -> None:
        met_s = max(free_s[worker] for worker in workers)
        for worker in workers:
            begin_s, free_s[worker] = free_s[worker], met_s + self.draw(kind, *worker)
            self.add(worker, kind, begin_s, free_s[worker], chunk)

    def add(
        self,
        worker: tuple[int, int],
        kind: str,
        begin_s: float,
        end_s: float,
        chunk: int = -1,
        mb: int = -1,
        gmc: int = -1,
    ) -> None:
        self.found[worker].append((kind, begin_s, end_s, chunk, mb, gmc))

    def passes(self, replica: int, free_s: dict[tuple[int, int], float]) -> list[float]:
        """Put all passes of a replica in time with their transfers; return when stages end."""
        shape = self.shape
        n_virtual = shape.stages * shape.chunks
        schedule = _core.Schedule(
            kind=shape.schedule,
            stages=shape.stages,
            microbatches=shape.microbatches,
            chunks=shape.chunks,
        )
        todo = [list(schedule.order(stage)) for stage in range(shape.stages)]
        free = [free_s[replica, stage] for stage in range(shape.stages)]
        done: dict[tuple[str, int, int], float] = {}
        while any(todo):
            for stage, left in enumerate(todo):
                if not left:
                    continue
                direction, microbatch, chunk = left[0]
                virtual = chunk * shape.stages + stage
                before = virtual - 1 if direction == "forward" else virtual + 1
                after = virtual + 1 if direction == "forward" else virtual - 1
                has_before = 0 <= before < n_virtual
                if has_before and (direction, before, microbatch) not in done:
                    continue
                left.pop(0)
                worker = (replica, stage)
                ready_s = free[stage]
                if has_before:
                    sent_s = done[direction, before, microbatch]
                    met_s = max(sent_s, free[stage])
                    ready_s = met_s + self.draw(f"{direction}-recv", *worker)
                    self.add(worker, f"{direction}-recv", free[stage], ready_s)
                    sender = (replica, before % shape.stages)
                    end_s = met_s + self.draw(f"{direction}-send", *sender)
                    self.add(sender, f"{direction}-send", sent_s, end_s)
                elif shape.empty_transfers:
                    self.add(worker, f"{direction}-recv", ready_s, ready_s + 1e-6)
                end_s = ready_s + self.draw(f"{direction}-compute", *worker)
                self.add(worker, f"{direction}-compute", ready_s, end_s, chunk, microbatch, virtual)
                if shape.empty_transfers and not 0 <= after < n_virtual:
                    self.add(worker, f"{direction}-send", end_s, end_s + 1e-6)
                done[direction, virtual, microbatch] = end_s
                # Passes of a GPU are some microseconds apart.
                free[stage] = end_s + 1e-5
        return free

    def numbered(self, worker: tuple[int, int]) -> list[tuple[Any, ...]]:
        """Return rows of a worker, numbered by type in the order of their begins."""
        replica, stage = worker
        counts: dict[str, int] = {}
        rows = []
        for kind, begin_s, end_s, chunk, mb, gmc in sorted(
            self.found[worker], key=lambda one: one[1]
        ):
            number = counts[kind] = counts.get(kind, -1) + 1
            rank = stage * self.shape.replicas + replica
            rows.append(
                (
                    replica,
                    stage,
                    rank,
                    self.step + 10,
                    kind,
                    begin_s,
                    end_s - begin_s,
                    number,
                    chunk,
                    mb,
                    gmc,
                )
            )
        return rows
