"""Steps of traced jobs timed again one operation at a time, from the shape that made them.

Unlike the core, this reads no order off the trace: it knows which passes there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from itertools import pairwise
from statistics import fmean, median
from typing import NamedTuple

import numpy as np
import polars as pl

from hindmost import _core
from tests.traced_jobs import Shape

COMPUTING = ("forward-compute", "backward-compute", "gc", "optimizer")
OF_ALL_REPLICAS = (
    *("params-all-gather", "grads-reduce-scatter", "separate-grads-all-reduce"),
    "optimizer-clip-main-grad",
)


class Op(NamedTuple):
    replica: int
    stage: int
    kind: str
    number: int = 0


class WalkByHand:
    """The operations of a traced job, and what each of them waits for."""

    def __init__(self, shape: Shape, trace: pl.DataFrame) -> None:
        self.shape = shape
        self.rows = {
            (step, Op(replica, stage, kind, number)): (start_s, start_s + duration_s, duration_s)
            for replica, stage, kind, number, step, start_s, duration_s in trace.select(
                "dp_rank", "stage", "optype", "seq_id", "step", "start_ts", "duration"
            ).iter_rows()
        }
        self.steps = sorted({step for step, _ in self.rows})
        self.ops = [op for step, op in self.rows if step == self.steps[0]]
        self.waits: dict[Op, list[Op]] = {op: [] for op in self.ops}
        self.partner: dict[Op, Op] = {}
        for replica in range(shape.replicas):
            self.connect(replica)
        self.work_s = {key: self.work(*key) for key in self.rows}
        kinds = {op.kind for op in self.ops}
        self.ideal_s = {kind: self.ideal(kind) for kind in kinds}

    def connect(self, replica: int) -> None:
        """Say what the operations of a replica wait for."""
        shape = self.shape
        n_virtual = shape.stages * shape.chunks
        schedule = _core.Schedule(
            kind=shape.schedule,
            stages=shape.stages,
            microbatches=shape.microbatches,
            chunks=shape.chunks,
        )
        sends: dict[tuple[str, int, int], Op] = {}
        recvs: dict[tuple[str, int, int], Op] = {}
        for stage in range(shape.stages):
            count = dict.fromkeys(("forward", "backward"), 0)
            transfers = {f"{one}-{way}": 0 for one in count for way in ("send", "recv")}
            passes: list[Op] = []
            first: dict[tuple[str, int], Op] = {}
            last: dict[tuple[str, int], Op] = {}
            for direction, microbatch, chunk in schedule.order(stage):
                virtual = chunk * shape.stages + stage
                towards = 1 if direction == "forward" else -1
                number = count[direction]
                count[direction] += 1
                one = Op(replica, stage, f"{direction}-compute", number)
                for way, neighbour in (("recv", virtual - towards), ("send", virtual + towards)):
                    is_there = 0 <= neighbour < n_virtual
                    if not (is_there or shape.empty_transfers):
                        continue
                    kind = f"{direction}-{way}"
                    transfer = Op(replica, stage, kind, transfers[kind])
                    transfers[kind] += 1
                    if transfer.number:
                        self.waits[transfer].append(transfer._replace(number=transfer.number - 1))
                    if way == "send":
                        self.waits[transfer].append(one)
                        if is_there:
                            sends[direction, neighbour, microbatch] = transfer
                    else:
                        self.waits[one].append(transfer)
                        if number:
                            self.waits[transfer].append(one._replace(number=number - 1))
                        if is_there:
                            recvs[direction, virtual, microbatch] = transfer
                if passes:
                    self.waits[one].append(passes[-1])
                passes.append(one)
                first.setdefault((direction, chunk), one)
                last[direction, chunk] = one
            warm_up = next(i for i, one in enumerate(passes) if one.kind == "backward-compute")
            if warm_up >= 2:
                for kind in ("backward-recv", "backward-send"):
                    if Op(replica, stage, kind) in self.waits:
                        self.waits[Op(replica, stage, kind)].append(passes[warm_up - 2])
            for chunk in range(shape.chunks):
                gather = Op(replica, stage, "params-all-gather", chunk)
                self.waits[first["forward", chunk]].append(gather)
            self.connect_tail(replica, stage, passes[-1], last)
        for key, recv in recvs.items():
            self.partner[recv], self.partner[sends[key]] = sends[key], recv

    def connect_tail(
        self, replica: int, stage: int, end: Op, last: dict[tuple[str, int], Op]
    ) -> None:
        """Say what the operations of a stage after its last pass wait for."""
        shape = self.shape

        def op(kind: str, number: int = 0) -> Op:
            return Op(replica, stage, kind, number)

        def chain(ops: Iterable[Op]) -> None:
            ops = [one for one in ops if one in self.waits]
            for before, after in pairwise(ops):
                self.waits[after].append(before)

        gathers = [op("params-all-gather", chunk) for chunk in range(shape.chunks)]
        scatters = [op("grads-reduce-scatter", chunk) for chunk in range(shape.chunks)]
        chain([*gathers, *scatters])
        begin = [end, op("gc"), op("layernorm-grads-all-reduce"), op("embedding-grads-all-reduce")]
        rest = [op("optimizer-clip-main-grad"), op("optimizer")]
        if not shape.overlapped:
            chain([*begin, *scatters, *rest])
            return
        chain([*begin, op("separate-grads-all-reduce"), *rest])
        self.waits[op("layernorm-grads-all-reduce")].append(scatters[-1])
        for place, scatter in enumerate(scatters):
            self.waits[scatter].append(last["backward", shape.chunks - 1 - place])

    def group(self, op: Op) -> list[Op]:
        """Return the operations that end together."""
        stages = [op.stage]
        if op.kind == "optimizer-clip-main-grad":
            stages = list(range(self.shape.stages))
        if op.kind == "embedding-grads-all-reduce":
            stages = [0, self.shape.stages - 1]
        replicas = range(self.shape.replicas) if op.kind in OF_ALL_REPLICAS else [op.replica]
        found = [op._replace(replica=r, stage=s) for r in replicas for s in stages]
        return [*found, self.partner[op]] if op in self.partner else found

    def work(self, step: int, op: Op) -> float:
        _, end_s, duration_s = self.rows[step, op]
        if op.kind in COMPUTING or op.kind == "layernorm-grads-all-reduce":
            return float(np.float32(duration_s))
        met_s = max(self.rows[step, other][0] for other in self.group(op))
        return float(np.float32(end_s - met_s))

    def ideal(self, kind: str) -> float:
        seconds = [work_s for (_, op), work_s in self.work_s.items() if op.kind == kind]
        if kind in COMPUTING:
            return fmean(seconds)
        middle = median(seconds)
        return middle if kind == "layernorm-grads-all-reduce" else float(np.float32(middle))

    def step_time_s(self, step: int, is_ideal: Callable[[Op], bool]) -> float:
        @cache
        def ready_s(op: Op) -> float:
            return max((end_s(before) for before in self.waits[op]), default=0.0)

        @cache
        def end_s(op: Op) -> float:
            work_s = self.ideal_s[op.kind] if is_ideal(op) else self.work_s[step, op]
            return max(map(ready_s, self.group(op))) + work_s

        # Long chains are walked from their beginning, so that no recursion is deep.
        for op in sorted(self.ops, key=lambda op: self.rows[self.steps[0], op][1]):
            end_s(op)
        return max(end_s(op) for op in self.ops if op.kind == "optimizer")
