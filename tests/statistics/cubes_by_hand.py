"""A job of slices on a pod whose hosts and cubes fail, walked through from the rules alone.

It shares nothing with the engine but the failures themselves: when which unit fails, and how long
its repair takes. A job waits for all of its slices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Pod:
    """A pod, and how its job recovers."""

    cubes: int
    hosts_per_cube: int
    host_gpus: int
    slice_cubes: int
    n_slices: int
    is_aligned: bool
    detection_s: float
    restart_s: float
    rewire_s: float


@dataclass(frozen=True)
class Failure:
    """A failure of some hosts, whatever the job does."""

    at_s: float
    hosts: range
    repair_s: float


@dataclass
class Fate:
    """GPU-seconds of the job's own GPUs that are up, by what it does, and its stops."""

    gpu_seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("running", "detection", "restart", "waiting"), 0.0)
    )
    stops: list[bool] = field(default_factory=list)
    n_swaps: int = 0


def walk(pod: Pod, failures: list[Failure], seconds: float) -> Fate:
    """Return what becomes of the job, whose pod is whole when it begins."""
    fate = Fate()
    # Failures that each host is down with.
    down = [0] * (pod.cubes * pod.hosts_per_cube)
    width = pod.slice_cubes if pod.is_aligned else 1
    groups = [
        range(g * width * pod.hosts_per_cube, (g + 1) * width * pod.hosts_per_cube)
        for g in range(pod.cubes // width)
    ]
    n_own = pod.n_slices * pod.slice_cubes // width
    own = list(range(n_own))
    free = list(range(n_own, len(groups)))
    repairs: list[tuple[float, range]] = []
    state, until_s, now_s, swapped = "running", math.inf, 0.0, False
    left = list(failures)

    def is_whole(group: int) -> bool:
        return not any(down[host] for host in groups[group])

    def begin_again() -> tuple[str, float]:
        nonlocal swapped
        for slot in range(len(own)):
            while not is_whole(own[slot]) and free:
                other = free.pop(0)
                if is_whole(other) and other not in own:
                    own[slot] = other
                    swapped = True
                    fate.n_swaps += 1
        if not all(map(is_whole, own)):
            return "waiting", math.inf
        rewires = swapped and not pod.is_aligned
        return "restart", now_s + pod.restart_s + (pod.rewire_s if rewires else 0.0)

    while True:
        next_repair = min((at_s for at_s, _ in repairs), default=math.inf)
        next_failure = left[0].at_s if left else math.inf
        to_s = min(next_repair, until_s, next_failure, seconds)
        n_up = sum(down[host] == 0 for group in own for host in groups[group])
        fate.gpu_seconds[state] += n_up * pod.host_gpus * (to_s - now_s)
        now_s = to_s
        if to_s == seconds:
            return fate
        if to_s == next_repair:
            for one in [one for one in repairs if one[0] == to_s]:
                repairs.remove(one)
                before = [is_whole(group) for group in range(len(groups))]
                for host in one[1]:
                    down[host] -= 1
                for group, was_whole in enumerate(before):
                    if is_whole(group) and not was_whole and group not in own + free:
                        free.append(group)
            if state == "waiting":
                state, until_s = begin_again()
        elif to_s == until_s:
            if state == "detection":
                state, until_s = begin_again()
            else:
                state, until_s = "running", math.inf
        else:
            failure = left.pop(0)
            hit = any(
                host in groups[group] and not down[host] for group in own for host in failure.hosts
            )
            for host in failure.hosts:
                down[host] += 1
            repairs.append((to_s + failure.repair_s, failure.hosts))
            fate.stops.append(hit and state == "running")
            if hit and state != "waiting":
                if state == "running":
                    swapped = False
                state, until_s = "detection", to_s + pod.detection_s
