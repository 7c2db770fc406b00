"""Traces of torch.profiler: Kineto's JSON, one file a rank."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, get_args

from hindmost.errors import Problem, ScenarioError, did_you_mean
from hindmost.logs.communication import Communication
from hindmost.logs.rank_names import named_rank
from hindmost.logs.reader import Reader
from hindmost.logs.records import Records
from hindmost.logs.source import Source

if TYPE_CHECKING:
    from hindmost.logs.clocks import Attendance
    from hindmost.logs.kineto_rank import RankSteps

_FIRST_KEYS = re.compile(r'\s*\{\s*"schemaVersion"\s*:\s*\d+\s*,\s*"deviceProperties"')
_EVENT = re.compile(
    r'"cat"\s*:\s*"(?:cpu_op|kernel|user_annotation|python_function|cuda_runtime|Trace'
    r'|Operator|Kernel|Memcpy)"'
)


def reader_of(communication: Communication | None = None) -> Reader:
    """Return the reader of Kineto traces.

    Parameters
    ----------
    communication
        ``"name"``: kernels communicate that have a name that is known for it, or that say of which
        collective they are. ``"stream"``: one stream computes, which is the one with most kernels,
        and the kernels of all others communicate. By default it is by name, and by stream for a
        rank of several that has no such kernel. Copies between the host and a GPU, or on it, and
        fills of memory count as computing by either rule; copies between GPUs communicate.

    Raises
    ------
    ScenarioError
        If it is none of these.
    """
    choices = get_args(Communication)
    if communication is not None and communication not in choices:
        problem = Problem(
            path="communication",
            requirement=f"must be one of {', '.join(choices)}",
            hint=did_you_mean(str(communication), choices),
        )
        raise ScenarioError([problem])
    return Reader(name="kineto", recognises=_is_trace, read=partial(_read, communication))


def _is_trace(source: Source) -> bool:
    text = source.text
    return bool(_FIRST_KEYS.match(text)) or ('"traceEvents"' in text and bool(_EVENT.search(text)))


def _read(communication: Communication | None, sources: Sequence[Source], records: Records) -> None:
    from hindmost.logs.kineto_rank import ranks_of

    found: list[RankSteps] = []
    world_size = 0
    nameless: list[RankSteps] = []
    for source in sources:
        ranks, size = ranks_of(source, communication, n_files=len(sources))
        for one in ranks:
            one.rank = named_rank(source.path) if one.rank is None else one.rank
            if one.rank is None and len(sources) > 1:
                nameless.append(one)
                source.unread.append(f"{source.path.name} names no rank")
        found += ranks
        world_size = max(world_size, size)
    if len(nameless) == len(found):
        for place, one in enumerate(nameless):
            one.rank = place
    found.sort(key=_rank)
    _add(found, records)
    known = {one.rank for one in found}
    for rank in range(world_size):
        if rank not in known:
            records.add("missing", rank=rank, note=f"one of {world_size} ranks")


def _rank(one: RankSteps) -> int:
    return -1 if one.rank is None else one.rank


def _add(found: Sequence[RankSteps], records: Records) -> None:
    """Add the steps of all ranks, with what they consist of."""
    ahead_ns, waits, remark, doubt = _met(found)
    zero_ns = min(
        (begin - ahead_ns.get(_rank(one), 0) for one in found for begin in one.begin_ns), default=0
    )
    seen: set[tuple[int | None, int]] = set()
    for one in found:
        waited: Counter[int] = Counter()
        for key, wait_ns in waits.get(_rank(one), {}).items():
            if key in one.attended.place:
                waited[one.attended.place[key]] += wait_ns
        shift_ns = zero_ns + ahead_ns.get(_rank(one), 0)
        for place, number in enumerate(one.number):
            start, seconds = (one.begin_ns[place] - shift_ns) * 1e-9, one.span_ns[place] * 1e-9
            add = partial(records.add, step=number, rank=one.rank, start=start)
            if (one.rank, number) in seen:
                add("masked", seconds=seconds, note="another file has this step of the rank")
                continue
            if one.rank is not None and number is not None:
                seen.add((one.rank, number))
            add("step", seconds=seconds, note=one.note)
            for kind, share, note in _shares(one, place):
                add(kind, seconds=share, note=note)
            if _rank(one) in waits:
                add("wait", seconds=waited[place] * 1e-9, note=remark)
        if one.outside:
            lasted_ns, note = one.outside
            records.add("masked", rank=one.rank, seconds=lasted_ns * 1e-9, note=note)
    if doubt:
        records.add("wait", note=doubt)


def _shares(one: RankSteps, place: int) -> list[tuple[str, float | None, str | None]]:
    from hindmost.logs.kineto_rank import UNKNOWN

    if one.shares is None:
        return []
    unknown = one.rule == UNKNOWN
    return [
        ("compute", one.shares.compute_ns[place] * 1e-9, one.rule),
        ("exposed", None if unknown else one.shares.exposed_ns[place] * 1e-9, one.rule),
        ("hidden", None if unknown else one.shares.hidden_ns[place] * 1e-9, one.rule),
        ("idle", one.shares.idle_ns[place] * 1e-9, None),
    ]


def _met(
    found: Sequence[RankSteps],
) -> tuple[Mapping[int, int], Mapping[int, Mapping[Hashable, int]], str | None, str]:
    """Return how far clocks are ahead, and how long ranks wait in collectives.

    The last two are what is to be said of the waits, and what of clocks and waits is not known.
    """
    from hindmost.logs import clocks

    attended: dict[int, dict[Hashable, Attendance]] = {}
    for one in found:
        if one.rank is not None:
            attended.setdefault(one.rank, {}).update(one.attended.at)
    if len(attended) < 2:
        return {}, {}, None, ""
    met = clocks.meetings(attended)
    ahead_ns = clocks.offsets_ns(met, attended)
    doubts = []
    unnamed = {
        key: each
        for key, each in met.items()
        if not all(attendance.names_group for attendance in each.values())
    }
    remark = "collectives that name no group are taken as those of all ranks" if unnamed else None
    if unnamed and not clocks.end_together(unnamed, ahead_ns):
        met = {key: each for key, each in met.items() if key not in unnamed}
        ahead_ns, remark = clocks.offsets_ns(met, attended), None
        doubts.append("some collectives name no group and do not end together: these are left out")
    if not met:
        doubts.append("ranks share no collective: waits are not known")
    if unreached := attended.keys() - ahead_ns.keys():
        doubts.append(f"clocks of ranks {sorted(unreached)} are not aligned")
    return ahead_ns, clocks.waits_ns(met), remark, "; ".join(doubts)


READER = reader_of()
"""The reader of Kineto traces."""
