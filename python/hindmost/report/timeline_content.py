"""What a report of one step in detail says."""

from __future__ import annotations

from hindmost.report.content import Content, Listing, Table
from hindmost.report.numbers import count
from hindmost.timelines.timeline import Exchange, ReplicaTimeline, Timeline


def timeline_content(found: Timeline) -> Content:
    """Return the content of a report of a step: its parts, and three replicas."""
    are_single = all(one.first == one.last for one in found.replicas)
    whose = "replica" if are_single else "replicas"
    lead = (
        f"It takes {_seconds(found.step_time_s)}: the slowest of {count(found.n_replicas)} "
        f"replicas computes for {_seconds(found.compute_s)} ({_seconds(found.stall_s)} of these "
        f"are stalls), and {_seconds(found.exposed_comm_s)} of exchange are not hidden.",
        f"With the average replica it would take {_seconds(found.mean_wait_s)} less.",
    )
    listings = [Listing("What slows them", tuple(map(_why, found.replicas)))]
    if found.exchanges:
        listings.append(
            Listing("Exchange between replicas", tuple(map(_exchange, found.exchanges)))
        )
    notes = [
        "Waits: by how much sooner the step would end with it. GPU is that of the rank that works "
        "longest in the stage that works longest, and slowdown that of the stage."
    ]
    if not are_single:
        notes.append("Replicas that wait for each other within the step are told together.")
    ports = ", ".join(filter(None, (found.slow_port, found.stalled_port)))
    if ports:
        notes.append(f"Exchange goes at the pace of the worst ports: {ports}.")
    match len(found.replicas):
        case 1:
            notes.append("With any other replica it would take as long.")
        case 2:
            notes.append("With the median replica it would take as long as with one of these.")
    return Content(
        headline=(
            f"{found.scenario.name}: step {found.step:,} of run {found.run:,}, seed {found.seed}"
        ),
        lead=lead,
        tables=(
            Table(
                ("", "pool", whose, "compute s", "waits s", "stage", "GPU", "slowdown"),
                tuple(map(_cells, found.replicas)),
            ),
        ),
        notes=tuple(notes),
        listings=tuple(listings),
    )


def _cells(one: ReplicaTimeline) -> tuple[str, ...]:
    stage = one.stages[one.busiest]
    who = f"{one.first:,}" if one.first == one.last else f"{one.first:,}-{one.last:,}"
    return (
        one.role,
        one.pool,
        who,
        f"{one.compute_s:.4f}",
        f"{one.wait_s:.4f}",
        str(one.busiest),
        f"{stage.pool} {stage.gpu:,}" if stage.pool != one.pool else f"{stage.gpu:,}",
        f"{stage.slowdown:.4f}",
    )


def _why(one: ReplicaTimeline) -> str:
    return f"{one.role}: {one.why or 'nothing'}"


def _exchange(one: Exchange) -> str:
    parts = [f"{_seconds(one.waiting_s)} exposed, {_seconds(one.hidden_s)} hidden"]
    if one.cost_s:
        parts.append(f"which makes compute {_seconds(one.cost_s)} longer")
    return f"{one.name}: {', '.join(parts)}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.4g} s"
