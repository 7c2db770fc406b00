"""What a report of slices says."""

from __future__ import annotations

from collections.abc import Iterator

from hindmost.analyses.placed_slices import PlacedSlices
from hindmost.report.content import Content, Listing, Table
from hindmost.report.numbers import count, large_count, rounded
from hindmost.slices.account import SlicesAccount
from hindmost.slices.moves import Moves, WithMoves

HEADINGS = ("slice", "GPUs", "cubes placed", "p5 to p95", "goodput", "blocks placed", "goodput")
"""Headings of what slices of several sizes take: with switches, and on fixed blocks."""


def slices_content(found: PlacedSlices) -> Content:
    """Return the content of a report of slices."""
    account = found.account
    slices = account.slices
    moves = found.moves
    return Content(
        headline=f"{account.scenario.name}: {count(slices.cubes)} cubes of "
        f"{count(account.cube_gpus)} GPUs",
        tables=(size_table(account), *([] if moves is None else [_moves_table(moves)])),
        notes=tuple(slices_notes(account)),
        listings=() if moves is None else tuple(_listings(moves)),
    )


def size_table(account: SlicesAccount) -> Table:
    """Return the table of what slices of several sizes take and keep, both ways."""
    rows = account.rows_by_size()
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return Table(
        HEADINGS,
        tuple(
            (
                count(switched["slice_cubes"]),
                count(switched["n_gpus"]),
                f"{switched['share_placed']:.1%}",
                f"{switched['p5']:.1%} to {switched['p95']:.1%}",
                f"{switched['goodput']:.1%}",
                f"{fixed['share_placed']:.1%}",
                f"{fixed['goodput']:.1%}",
            )
            for switched, fixed in pairs
        ),
    )


def slices_notes(account: SlicesAccount) -> Iterator[str]:
    """Yield sentences about what slices take."""
    slices = account.slices
    yield (
        f"A cube is up for {slices.cube_availability:.2%} of the time, its "
        f"{count(slices.hosts_per_cube)} hosts for {slices.host_availability:.3%} each."
    )
    yield verdict(account)
    goodput = "what slices of this size keep of all of the pod's time"
    if all(row["kept"] is None for row in account.rows_by_size()):
        goodput = "cubes placed: what slices keep between their stops has no closed form here"
    yield f"Slices are in cubes, any that are up or fixed blocks of them. Goodput: {goodput}."


def verdict(account: SlicesAccount) -> str:
    """Return in one sentence what slices take, and how often the job fits."""
    slices, n = account.slices, account.job_slices
    names = {"any": "any cubes that are up", "aligned": "fixed blocks"}
    other = "aligned" if slices.placement == "any" else "any"
    placed = {each: slices.with_placement(each) for each in ("any", "aligned")}
    own, others = placed[slices.placement], placed[other]
    job = "the job's slice fits" if n == 1 else f"the job's {count(n)} slices fit"
    return (
        f"Slices of {count(slices.slice_cubes)} cubes take {own.share_placed:.1%} of the pod on "
        f"{names[slices.placement]}, {others.share_placed:.1%} on {names[other]}; {job} for "
        f"{own.fits(n):.2%} and {others.fits(n):.2%} of the time."
    )


def _moves_table(moves: Moves) -> Table:
    return Table(
        ("moves", "made", "cubes placed", "share", "GPU-hours lost"),
        tuple(
            (
                str(row["moves"]),
                str(row["n_moved"]),
                _placed(one),
                f"{row['share_placed']:.1%}",
                rounded(row["gpu_seconds"] / 3600, None) if row["gpu_seconds"] else "0",
            )
            for row, one in zip(moves.rows, moves.by_moves, strict=True)
        ),
    )


def _placed(one: WithMoves) -> str:
    """Return what is placed, and what might be where not all ways were tried."""
    if one.cubes_placed == one.most_cubes:
        return count(one.cubes_placed)
    return f"{count(one.cubes_placed)} to {count(one.most_cubes)}"


def _listings(moves: Moves) -> Iterator[Listing]:
    """Yield what is moved and placed with the most moves."""
    last = moves.by_moves[-1]
    moved = tuple(
        f"{count(move.slice_cubes)} cubes from block {move.from_block} to {move.to_block}: "
        f"{large_count(round(move.gpu_seconds))} GPU-seconds"
        for move in last.moved
    )
    placed = tuple(
        f"{count(size)} cubes" + ("" if block is None else f" on block {block}")
        for size, block in last.placed
    )
    if moved:
        yield Listing("Moved", moved)
    if placed:
        yield Listing("Placed", placed)
