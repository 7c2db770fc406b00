"""Clocks of hosts aligned on collectives, and the waits for peers inside these.

A rank that comes late to a collective is in it for the shortest time, whatever its clock says:
so waits are told by durations alone. What begins when is told by clocks that are set by the ends of
collectives, which all ranks leave together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median

LEAST_SPREAD_NS = 100_000
"""Ends that differ by no more than this are taken as one time."""
SPREAD_SHARE = 0.2
"""Ends that differ by no more than this share of the collective's time are so, too."""


@dataclass(frozen=True, slots=True)
class Attendance:
    """A rank's part in one collective.

    Attributes
    ----------
    begin_ns, end_ns : int
        When the rank was in it, by its own clock.
    leaves_together : bool
        Whether its end is the end for all ranks.
    names_group : bool
        Whether the log says which ranks are in it.
    """

    begin_ns: int
    end_ns: int
    leaves_together: bool = True
    names_group: bool = True


Meetings = Mapping[Hashable, Mapping[int, Attendance]]
"""Who was in each collective, by rank, of all collectives that two ranks or more were in."""


def meetings(attended: Mapping[int, Mapping[Hashable, Attendance]]) -> Meetings:
    """Return who was in each collective, given what each rank attended."""
    found: dict[Hashable, dict[int, Attendance]] = defaultdict(dict)
    for rank, each in attended.items():
        for key, attendance in each.items():
            found[key][rank] = attendance
    return {key: ranks for key, ranks in found.items() if len(ranks) > 1}


def offsets_ns(meetings: Meetings, ranks: Iterable[int]) -> dict[int, int]:
    """Return how far the clock of each rank is ahead of the lowest rank's, in nanoseconds.

    It is the median difference between ends of collectives. Ranks that share none with the lowest
    are reached by others in between; those that cannot be reached are left out.
    """
    ranks = sorted(ranks)
    usable = [met for met in meetings.values() if all(at.leaves_together for at in met.values())]
    usable = usable or list(meetings.values())
    offsets = dict.fromkeys(ranks[:1], 0)
    while True:
        differences: dict[int, list[float]] = defaultdict(list)
        for met in usable:
            known = [met[rank].end_ns - offsets[rank] for rank in met if rank in offsets]
            if not known:
                continue
            end_ns = median(known)
            for rank in met.keys() - offsets.keys():
                differences[rank].append(met[rank].end_ns - end_ns)
        if not differences:
            return offsets
        offsets |= {rank: round(median(each)) for rank, each in differences.items()}


def end_together(meetings: Meetings, offsets: Mapping[int, int]) -> bool:
    """Return whether collectives end together, once clocks are aligned.

    If they do not, records that were taken as parts of one collective are of several ones.
    """
    spreads, limits = [], []
    for met in meetings.values():
        ends = [at.end_ns - offsets[rank] for rank, at in met.items() if rank in offsets]
        if len(ends) > 1 and all(at.leaves_together for at in met.values()):
            spreads.append(max(ends) - min(ends))
            limits.append(max(at.end_ns - at.begin_ns for at in met.values()))
    if not spreads:
        return True
    return median(spreads) <= max(LEAST_SPREAD_NS, SPREAD_SHARE * median(limits))


def waits_ns(meetings: Meetings) -> dict[int, dict[Hashable, int]]:
    """Return how long each rank waits in each collective for the last one to come.

    It is the rank's time in the collective less the shortest of any rank in it.
    """
    waits: dict[int, dict[Hashable, int]] = defaultdict(dict)
    for key, met in meetings.items():
        times = {rank: at.end_ns - at.begin_ns for rank, at in met.items()}
        shortest = min(times.values())
        for rank, time in times.items():
            waits[rank][key] = time - shortest
    return waits
