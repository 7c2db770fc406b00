"""A job on a cluster whose units fail, simulated GPU by GPU from the rules alone.

It shares nothing with the engine but the failures themselves: when which unit fails, and how long
its repair takes. Whatever follows is found here once more, without any cleverness: each GPU has
the set of repairs that it is in, and at each change every GPU is asked what it does.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

Fields = dict[str, Any]

NAMES = (
    *("kept", "redone", "checkpoint", "detection", "restart", "waiting"),
    *("spare", "leftover", "drained", "repair", "cut_off", "other_jobs"),
)
STALLED = "restart"
"""Name of the time for which a failure of one replica stops the others."""


@dataclass(frozen=True)
class Failure:
    """A failure that happens whatever the job does."""

    at_s: float
    kind: int
    unit: int
    repair_s: float


@dataclass
class Account:
    """What became of one run."""

    seconds: list[dict[str, float]]
    interrupts: list[bool]
    down_seconds: list[dict[int, float]]
    n_regrows: int = 0


@dataclass(eq=False)
class Gpu:
    pool: int
    repairs: set[int] = field(default_factory=set)
    """Numbers of the failures that it is being repaired after."""

    @property
    def is_up(self) -> bool:
        return not self.repairs


@dataclass(eq=False)
class Node:
    pool: int
    number: int
    domain: int
    gpus: list[Gpu]
    home: tuple[Block, int] | None = None
    place: tuple[Block, int] | None = None
    """The block that it is a part of, and as which of its nodes."""
    stands_in: bool = False

    @property
    def is_up(self) -> bool:
        return all(gpu.is_up for gpu in self.gpus)

    @property
    def is_free(self) -> bool:
        """Whether it may take a place: it is not one of those that nothing uses."""
        return self.is_up and self.place is None and (self.stands_in or self.home is not None)


@dataclass(eq=False)
class Block:
    pool: int
    domain: int
    nodes: list[Node]
    slot: Slot | None = None
    is_spare: bool = False
    """Whether it replaces others while no slot has it."""

    @property
    def is_whole(self) -> bool:
        return all(node.is_up for node in self.nodes)


@dataclass(eq=False)
class Slot:
    """What a block works as."""

    number: int
    block: Block
    parts: list[int | None]
    """Part of the job that each GPU of the block belongs to."""


@dataclass(frozen=True)
class Saved:
    """A state of the job that was saved."""

    number: int
    is_global: bool
    durable_s: float
    """Seconds of running after which it is durable."""
    n_pieces: int
    """Pieces of computing that it includes."""


class Cluster:
    """Who is where, and who is up."""

    def __init__(self, pools: list[Fields], n_parts: int) -> None:
        self.pools = pools
        self.n_parts = n_parts
        self.gpus: list[list[Gpu]] = []
        self.nodes: list[list[Node]] = []
        self.blocks: list[list[Block]] = []
        self.slots: list[Slot] = []
        self.queues: list[list[Block]] = []
        self.replaced = False
        """Whether a node or a block took the place of another one since the job stopped."""
        for index, pool in enumerate(pools):
            self.add_pool(index, pool)
        self.all_nodes = [node for nodes in self.nodes for node in nodes]

    def add_pool(self, index: int, pool: Fields) -> None:
        node_gpus, domain_gpus = pool["node_gpus"], pool["domain_gpus"]
        used, block_gpus = pool["domain_gpus_used"], pool["block_gpus"]
        gpus = [Gpu(index) for _ in range(pool["n_gpus"])]
        n_domains = len(gpus) // domain_gpus
        nodes: list[Node] = []
        for first in range(0, len(gpus), node_gpus):
            domain = first // domain_gpus
            node = Node(index, len(nodes), domain, gpus[first : first + node_gpus])
            node.stands_in = domain < n_domains and first % domain_gpus >= used
            nodes.append(node)
        blocks: list[Block] = []
        for domain in range(n_domains):
            for first in range(0, used // block_gpus * block_gpus, block_gpus):
                start = domain * domain_gpus + first
                own = nodes[start // node_gpus : -(-(start + block_gpus) // node_gpus)]
                block = Block(index, domain, list(own))
                for place, node in enumerate(own):
                    node.home = node.place = (block, place)
                blocks.append(block)
        groups = pool["parts"].tolist()
        ranks = [part for part in groups for _ in range(pool["tensor"])]
        n_working = -(-len(ranks) // block_gpus)
        for place, block in enumerate(blocks[:n_working]):
            parts = ranks[place * block_gpus : (place + 1) * block_gpus]
            parts += [None] * (len(block.nodes) * node_gpus - len(parts))
            block.slot = Slot(len(self.slots), block, parts)
            self.slots.append(block.slot)
        spares = blocks[n_working : n_working + pool["spare_blocks"]]
        for block in [*blocks[:n_working], *spares]:
            block.is_spare = True
        self.gpus.append(gpus)
        self.nodes.append(nodes)
        self.blocks.append(blocks)
        self.queues.append(spares)

    def part_of(self, node: Node, gpu: int) -> int | None:
        """Return the part of the job that a GPU of a node is a rank of."""
        if node.place is None:
            return None
        block, place = node.place
        return None if block.slot is None else block.slot.parts[place * len(node.gpus) + gpu]

    def broken_slots(self, part: int) -> list[Slot]:
        return [slot for slot in self.slots if part in slot.parts and not slot.block.is_whole]

    def whole_parts(self) -> set[int]:
        return {part for part in range(self.n_parts) if not self.broken_slots(part)}

    def struck(self, pool: int | None, unit: int, unit_gpus: int) -> list[tuple[Node, int]]:
        """Return the GPUs of a unit, each as one of its node, those of the job without a pool."""
        if pool is None:
            return [(node, gpu) for node in self.all_nodes for gpu in range(len(node.gpus))]
        found = []
        node_gpus = self.pools[pool]["node_gpus"]
        for gpu in range(unit * unit_gpus, min((unit + 1) * unit_gpus, len(self.gpus[pool]))):
            found.append((self.nodes[pool][gpu // node_gpus], gpu % node_gpus))
        return found

    def repair(self, numbers: set[int]) -> None:
        """End some repairs, node by node."""
        for node in self.all_nodes:
            was_up = node.is_up
            for gpu in node.gpus:
                gpu.repairs -= numbers
            if node.is_up and not was_up:
                self.bring_back(node)

    def bring_back(self, node: Node) -> None:
        """Give a repaired node its own place, if it is open, and work to a block that is whole."""
        if node.place is None and node.home is not None:
            block, place = node.home
            if not block.nodes[place].is_up:
                self.put(node, block, place)
        if node.place is None:
            return
        block = node.place[0]
        queue = self.queues[node.pool]
        if block.is_spare and block.slot is None and block.is_whole and block not in queue:
            queue.append(block)

    def put(self, node: Node, block: Block, place: int) -> None:
        """Give a node the place of one that is down."""
        block.nodes[place].place = None
        block.nodes[place] = node
        node.place = (block, place)

    def fill(self, of: set[int]) -> None:
        """Fill the broken slots of some parts, pool by pool, but none that others share."""
        for pool in range(len(self.pools)):
            lacking = [len(self.broken_slots(part)) for part in range(self.n_parts)]
            wanted = []
            for slot in self.slots:
                parts = {part for part in slot.parts if part is not None}
                if slot.block.pool == pool and not slot.block.is_whole and parts <= of:
                    wanted.append((max(lacking[part] for part in parts), slot.number, slot))
            for _, _, slot in sorted(wanted, key=lambda one: one[:2]):
                self.fill_slot(slot)

    def has_others(self, block: Block) -> bool:
        """Return whether a domain has nodes that stand in for others."""
        nodes = self.nodes[block.pool]
        return any(other.stands_in and other.domain == block.domain for other in nodes)

    def fill_slot(self, slot: Slot) -> None:
        block = slot.block
        nodes = self.nodes[block.pool]
        for place, node in enumerate(list(block.nodes)):
            free = [one for one in nodes if one.is_free and one.domain == block.domain]
            if not node.is_up and free and self.has_others(block):
                self.put(free[0], block, place)
                self.replaced = True
        queue = self.queues[block.pool]
        while not slot.block.is_whole and queue:
            spare = queue.pop(0)
            if spare.is_whole and spare.slot is None:
                block.slot = None
                slot.block, spare.slot = spare, slot
                self.replaced = True


class Run:
    """A run of the job, from change to change."""

    def __init__(self, fleet: Fields, failures: list[Failure], seconds: float) -> None:
        self.kinds: list[Fields] = fleet["failures"]
        self.recovery: Fields = fleet["recovery"]
        self.checkpoint: Fields | None = fleet["checkpoint"]
        self.cluster = Cluster(fleet["pools"], fleet["n_parts"])
        self.failures = failures
        self.end_s = seconds
        self.now_s = self.running_s = 0.0

        self.has_replicas = self.recovery["replica_stall_s"] is not None
        self.waits_for_all = not self.recovery["shrinks"] and not self.has_replicas
        self.works = set(range(fleet["n_parts"]))
        """Parts that the job has not gone on without."""
        self.leaving: set[int] = set()
        """Parts that it is to go on without, after a stall."""
        self.rejoins_s: dict[int, float] = {}
        self.repairs_s: dict[int, float] = {}

        self.state = "computing"
        self.until_s = math.inf
        self.paused: tuple[str, float] | None = None
        """State that goes on after a stall, and the seconds left of it."""
        self.goes_far = False
        self.saved = [Saved(0, True, -math.inf, 0)]
        self.pieces: list[list[float]] = []
        """Computing that may still be lost: GPU-seconds by pool."""

        n_pools = len(self.cluster.pools)
        self.account = Account(
            seconds=[dict.fromkeys(NAMES, 0.0) for _ in range(n_pools)],
            interrupts=[],
            down_seconds=[{} for _ in range(n_pools)],
        )
        self.compute()

    def walk(self) -> Account:
        failures = list(enumerate(self.failures))
        self.count_gpus()
        while self.now_s < self.end_s:
            next_failure = failures[0][1].at_s if failures else math.inf
            to_s = min(
                *(next_failure, self.until_s, self.end_s),
                *self.repairs_s.values(),
                *self.rejoins_s.values(),
            )
            self.pass_time(to_s)
            if to_s == self.end_s:
                break
            repaired = {number for number, at_s in self.repairs_s.items() if at_s == to_s}
            rejoining = {part for part, at_s in self.rejoins_s.items() if at_s == to_s}
            if repaired:
                self.repair(repaired)
            elif self.until_s == to_s:
                self.end_state()
            elif rejoining:
                self.rejoin(rejoining)
            else:
                self.account.interrupts.append(self.fail(*failures.pop(0)))
            self.count_gpus()
        for piece in self.pieces:
            self.book("kept", piece)
        return self.account

    # The account.

    def name_of(self, node: Node, gpu: int) -> str:
        """Return what a GPU of a node does."""
        if not node.gpus[gpu].is_up:
            return "repair"
        if node.place is None:
            if node.home is None and not node.stands_in:
                return "leftover"
            return "spare" if node.is_up else "cut_off"
        block = node.place[0]
        if block.slot is None:
            if not block.is_spare:
                return "leftover"
            return "spare" if block.is_whole else "cut_off"
        part = self.cluster.part_of(node, gpu)
        if part is None:
            return "leftover"
        return "held" if part in self.works | self.leaving else "cut_off"

    def count_gpus(self) -> None:
        self.counts = [
            Counter(self.name_of(node, gpu) for node in nodes for gpu in range(len(node.gpus)))
            for nodes in self.cluster.nodes
        ]
        self.n_down = [sum(not node.is_up for node in nodes) for nodes in self.cluster.nodes]

    def pass_time(self, to_s: float) -> None:
        passed_s = to_s - self.now_s
        self.now_s = to_s
        if self.state in ("computing", "checkpoint"):
            self.running_s += passed_s
        held = [counts["held"] * passed_s for counts in self.counts]
        if self.state == "computing":
            self.pieces.append(held)
        else:
            names = {"saving": "checkpoint", "stalled": STALLED}
            self.book(names.get(self.state, self.state), held)
        for name in ("spare", "leftover", "repair", "cut_off"):
            self.book(name, [counts[name] * passed_s for counts in self.counts])
        for down, seconds in zip(self.n_down, self.account.down_seconds, strict=True):
            seconds[down] = seconds.get(down, 0.0) + passed_s

    def book(self, name: str, gpu_seconds: list[float]) -> None:
        for seconds, more in zip(self.account.seconds, gpu_seconds, strict=True):
            seconds[name] += more

    # States.

    def enter(self, state: str, seconds: float) -> None:
        self.state, self.until_s = state, self.now_s + seconds

    def compute(self) -> None:
        self.enter("computing", self.checkpoint["interval_s"] if self.checkpoint else math.inf)

    def end_state(self) -> None:
        match self.state:
            case "computing":
                self.begin_checkpoint()
            case "checkpoint":
                self.end_checkpoint()
            case "saving":
                saved = self.next_saved(self.running_s)
                self.saved = [one for one in self.saved if one.durable_s <= self.running_s]
                self.saved.append(saved)
                self.goes_far = False
                self.cluster.fill(set(range(self.cluster.n_parts)))
                self.restart_or_wait()
            case "stalled":
                self.end_stall()
            case "detection":
                self.cluster.fill(set(range(self.cluster.n_parts)))
                self.restart_or_wait()
            case "restart" if not self.is_ready():
                self.cluster.fill(set(range(self.cluster.n_parts)))
                self.restart_or_wait()
            case "restart":
                self.works = self.cluster.whole_parts()
                self.compute()

    # Checkpoints.

    def next_saved(self, durable_s: float) -> Saved:
        """Return the state of now as one that is saved."""
        assert self.checkpoint is not None
        number = self.saved[-1].number + 1
        every = self.checkpoint["global_every"]
        is_global = every is None or number % every == 0
        return Saved(number, is_global, durable_s, len(self.pieces))

    def level(self) -> str:
        """Return the prefix of the next checkpoint's numbers."""
        assert self.checkpoint is not None
        is_global = self.next_saved(math.inf).is_global
        return "global_" if is_global and self.checkpoint["global_every"] is not None else ""

    def begin_checkpoint(self) -> None:
        assert self.checkpoint is not None
        self.enter("checkpoint", self.checkpoint[f"{self.level()}blocking_s"])

    def end_checkpoint(self) -> None:
        assert self.checkpoint is not None
        durable_s = self.running_s + self.checkpoint[f"{self.level()}durable_s"]
        self.saved.append(self.next_saved(durable_s))
        if self.recovery["regrows_at_checkpoint"] and not self.has_replicas:
            self.works |= self.cluster.whole_parts()
        self.compute()

    def go_back(self, is_far: bool) -> None:
        """Lose what has been computed since the last state that is left."""
        durable = [one for one in self.saved if one.durable_s <= self.running_s]
        if is_far:
            durable = [one for one in durable if one.is_global]
        last = durable[-1]
        for piece in self.pieces[last.n_pieces :]:
            self.book("redone", piece)
        self.pieces = self.pieces[: last.n_pieces]
        self.saved = [one for one in durable if one.number <= last.number]

    # Repairs.

    def repair(self, numbers: set[int]) -> None:
        self.cluster.repair(numbers)
        for number in numbers:
            del self.repairs_s[number]
        if self.state == "waiting":
            self.cluster.fill(set(range(self.cluster.n_parts)))
            self.restart_or_wait()
        elif self.state in ("computing", "checkpoint"):
            self.look_after_others()

    def look_after_others(self) -> None:
        """Do what can be done, while the job runs, for parts that it goes on without."""
        is_off = set(range(self.cluster.n_parts)) - self.works
        self.cluster.fill(is_off)
        ready = is_off & self.cluster.whole_parts()
        if self.has_replicas:
            for part in ready - self.rejoins_s.keys():
                self.rejoins_s[part] = self.now_s + self.recovery["rejoin_s"]
        elif ready and self.checkpoint and not self.recovery["regrows_at_checkpoint"]:
            self.save()

    def save(self) -> None:
        assert self.checkpoint is not None
        self.account.n_regrows += 1
        self.cluster.replaced = False
        level = self.level()
        seconds = (self.checkpoint[f"{level}{name}_s"] for name in ("blocking", "durable"))
        self.enter("saving", sum(seconds))

    # Failures.

    def fail(self, number: int, failure: Failure) -> bool:
        """Let a unit fail, and return whether that interrupts the job."""
        kind = self.kinds[failure.kind]
        struck = self.cluster.struck(kind["pool"], failure.unit, kind["unit_gpus"])
        whole = self.cluster.whole_parts()
        # A failure of the job takes it even if no rank is left.
        hit = set(self.works) if kind["pool"] is None else set()
        for node, gpu in struck:
            part = self.cluster.part_of(node, gpu)
            if node.gpus[gpu].is_up and part in self.works:
                hit.add(part)
        if failure.repair_s > 0.0:
            # The job has no GPUs of its own that are down.
            for node, gpu in struck if kind["pool"] is not None else ():
                node.gpus[gpu].repairs.add(number)
            self.repairs_s[number] = self.now_s + failure.repair_s
        is_broken = set(range(self.cluster.n_parts)) - self.cluster.whole_parts()
        for part in is_broken:
            self.rejoins_s.pop(part, None)

        has_levels = self.checkpoint is not None and self.checkpoint["global_every"] is not None
        is_far = has_levels and not kind["keeps_local"]
        match self.state:
            case "waiting":
                if is_far and hit:
                    self.go_far()
                return False
            case "restart":
                if not hit & whole and kind["pool"] is not None:
                    if is_far and hit:
                        self.go_far()
                    return False
            case _:
                if not hit:
                    if self.state in ("computing", "checkpoint"):
                        self.look_after_others()
                    return False
        if self.state in ("computing", "checkpoint", "stalled") and self.has_replicas:
            left = self.works - hit - is_broken
            if kind["pool"] is not None and left:
                self.leaving |= self.works - left
                self.works = left
                self.stall()
                return True
        is_new = self.state not in ("detection", "restart")
        self.stop(is_far)
        return is_new

    def go_far(self) -> None:
        self.go_back(is_far=True)
        self.goes_far = True

    def stop(self, is_far: bool) -> None:
        self.go_back(is_far)
        if self.state not in ("detection", "restart"):
            self.goes_far = False
            self.cluster.replaced = False
        self.goes_far |= is_far
        self.paused = None
        self.works |= self.leaving
        self.leaving = set()
        self.rejoins_s = {}
        self.enter("detection", self.recovery["detection_s"])

    # Restarts.

    def is_ready(self) -> bool:
        whole = self.cluster.whole_parts()
        return len(whole) == self.cluster.n_parts if self.waits_for_all else bool(whole)

    def restart_or_wait(self) -> None:
        if self.is_ready():
            self.restart()
        else:
            self.enter("waiting", math.inf)

    def restart(self) -> None:
        self.works |= self.cluster.whole_parts()
        seconds = self.recovery["global_restart_s" if self.goes_far else "restart_s"]
        swap_s = self.recovery["swap_s"] if self.cluster.replaced else 0.0
        self.enter("restart", seconds + swap_s)

    # Recovery of replicas.

    def stall(self) -> None:
        if self.state != "stalled":
            self.paused = (self.state, self.until_s - self.now_s)
        self.enter("stalled", self.recovery["replica_stall_s"])

    def end_stall(self) -> None:
        assert self.paused is not None
        self.leaving = set()
        self.cluster.fill(set(range(self.cluster.n_parts)) - self.works)
        for part in self.cluster.whole_parts() - self.works:
            self.rejoins_s.setdefault(part, self.now_s + self.recovery["rejoin_s"])
        self.enter(*self.paused)
        self.paused = None

    def rejoin(self, parts: set[int]) -> None:
        for part in parts:
            del self.rejoins_s[part]
        self.works |= parts


def simulate(fleet: Fields, failures: list[Failure], seconds: float) -> Account:
    """Return what becomes of a job on a cluster where these failures happen."""
    return Run(fleet, failures, seconds).walk()
