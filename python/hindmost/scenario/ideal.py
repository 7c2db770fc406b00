"""Ideals: mechanisms that a scenario can be freed of, one by one.

Each is one change, so that any set of them is a scenario, too. Whether the job fits into memory is
judged without them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import Field

from hindmost.cause import Cause
from hindmost.strict import Strict

FABRIC_NOISE, HOP_NOISE = "fabric.noise", "fabric.hop_noise"
"""Key paths of the noise of the fabric, as names among those of causes."""


class Ideal(Strict):
    """Mechanisms that cost nothing."""

    mixed_generations: bool = False
    """Each rank has work in proportion to its pool's speed without any cause."""
    kernel_efficiency: bool = False
    """Matrix products reach the peak; measured passes take as long as their FLOPs at the peak."""
    software_mismatch: bool = False
    """The software reaches the kernel efficiency on all GPUs."""
    gpu_spread: bool = False
    """No slowdown of compute lasts a run, unless a whole pool or the cluster shares it."""
    residual: bool = False
    """No slowdown of compute that is of no other mechanism, such as those of GPUs and steps."""
    step_common: bool = False
    """No slowdown of compute that a whole pool or the cluster shares."""
    fail_slow: bool = False
    """No episodes in which GPUs compute slowly for a while."""
    stalls: bool = False
    """No stalls of ranks or ports. Those longer than a watchdog waits belong to failures."""
    stage_imbalance: bool = False
    """All virtual stages take as long."""
    sequence_imbalance: bool = False
    """No slowdown of compute that the ranks of a replica share for a microbatch; context ranks have
    as many scores as each other, and replicas of a pool as many sequences."""
    pipeline_bubble: bool = False
    """No stage waits for another one: a replica takes as long as its busiest stage computes."""
    layer_barriers: bool = False
    """No slowdown of compute that changes from layer to layer."""
    exchange_inside: bool = False
    """Tensor, context and expert ranks and stages exchange what they do in no time."""
    collective_latency: bool = False
    """Hops of collectives between replicas take no time."""
    collective_bandwidth: bool = False
    """Links are infinitely fast for collectives between replicas."""
    network_noise: bool = False
    """No slowdown of ports, and all hops take their nominal latency."""
    power_smoothing: bool = False
    """Smoothing of power costs neither seconds nor failures."""
    recompute_and_overhead: bool = False
    """Nothing is computed again, nothing moves to the host, and steps have no overhead."""
    failures: bool = False
    """Nothing fails and nothing is saved."""
    idle: bool = False
    """The account of whole runs leaves out what the job does not hold."""
    causes: list[str] = Field(default_factory=list)
    """Causes that do not act, by name, fabric.noise and fabric.hop_noise among them: part of a
    mechanism."""

    @property
    def of_pools(self) -> tuple[bool, ...]:
        """What the seconds and bytes of pools depend on."""
        return tuple(getattr(self, one.name) for one in MECHANISMS if one.is_of_pools)

    def has(self, name: str, cause: Cause) -> bool:
        """Return whether a cause does not act."""
        return name in self.causes or getattr(self, mechanism_of(cause))


NOTHING = Ideal()
"""No ideal at all."""

Side = Literal["compute", "network", "run"]
"""What a mechanism acts on: the ranks of a step, its collectives between replicas, or the time
between steps."""

SIDES: tuple[Side, ...] = get_args(Side)
"""All sides."""


@dataclass(frozen=True, kw_only=True)
class Mechanism:
    """One mechanism that can be made ideal.

    Attributes
    ----------
    name : str
        Its key in ``[ideal]``.
    side : str
        What it acts on.
    group : str
        The mechanisms with which it is made ideal where each simulation takes long.
    is_of_pools : bool
        Whether it changes the seconds of pools without any cause.
    is_of_causes : bool
        Whether it takes away causes.
    is_of_runs : bool
        Whether it changes what happens between steps, too.
    """

    name: str
    side: Side
    group: str
    is_of_pools: bool = False
    is_of_causes: bool = False
    is_of_runs: bool = False

    @property
    def words(self) -> str:
        """The name as words."""
        return in_words(self.name)

    @property
    def path(self) -> str:
        """Its key path in a scenario."""
        return f"ideal.{self.name}"


def in_words(name: str) -> str:
    """Return the name of a mechanism, a cause of one (``MECHANISM: CAUSE``) or a group as words.

    Examples
    --------
    >>> in_words("gpu_spread"), in_words("exchange_inside"), in_words("stalls: long_pause")
    ('GPU spread', 'exchange inside replicas', 'stalls: long_pause')
    """
    mechanism, colon, cause = name.partition(":")
    words = WORDS.get(mechanism, mechanism.replace("_", " "))
    return f"{words}{colon}{cause}"


WORDS = {
    "gpu_spread": "GPU spread",
    "exchange_inside": "exchange inside replicas",
    "fail_slow": "fail-slow",
}
"""Names of mechanisms that say more as words."""


def _of_pools(group: str, name: str, side: Side = "compute") -> Mechanism:
    return Mechanism(name=name, side=side, group=group, is_of_pools=True)


def _of_causes(group: str, name: str, side: Side = "compute") -> Mechanism:
    return Mechanism(name=name, side=side, group=group, is_of_causes=True)


MECHANISMS = (
    _of_pools("mix", "mixed_generations"),
    _of_pools("speed", "kernel_efficiency"),
    _of_pools("speed", "software_mismatch"),
    _of_pools("speed", "exchange_inside"),
    _of_pools("speed", "recompute_and_overhead"),
    _of_causes("variation", "gpu_spread"),
    _of_causes("variation", "residual"),
    _of_causes("variation", "step_common"),
    _of_causes("variation", "stalls"),
    _of_causes("variation", "fail_slow"),
    Mechanism(
        name="sequence_imbalance",
        side="compute",
        group="variation",
        is_of_pools=True,
        is_of_causes=True,
    ),
    _of_causes("variation", "layer_barriers"),
    Mechanism(name="power_smoothing", side="compute", group="variation", is_of_runs=True),
    _of_pools("schedule", "stage_imbalance"),
    _of_pools("schedule", "pipeline_bubble"),
    _of_pools("network", "collective_latency", "network"),
    _of_pools("network", "collective_bandwidth", "network"),
    _of_causes("network", "network_noise", "network"),
    Mechanism(name="failures", side="run", group="run"),
    Mechanism(name="idle", side="run", group="run"),
)
"""All mechanisms, those on ranks first and those between steps last."""


def mechanism_of(cause: Cause) -> str:
    """Return the one mechanism that a cause belongs to."""
    if cause.effect == "stall":
        return "stalls"
    if cause.affects == "network":
        return "network_noise"
    if cause.span == "episode":
        return "fail_slow"
    if cause.scope in ("pool", "cluster"):
        return "step_common"
    if cause.span == "run":
        return "gpu_spread"
    if cause.scope == "replica" and cause.span == "microbatch":
        return "sequence_imbalance"
    if cause.span == "layer":
        return "layer_barriers"
    return "residual"
