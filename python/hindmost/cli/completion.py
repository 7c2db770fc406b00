"""What shells complete: presets, files and names of the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

if TYPE_CHECKING:
    from hindmost import catalog

Complete = Callable[[click.Context, click.Parameter, str], list[str]]
"""Returns what may stand for a parameter that was typed in part."""


def scenarios(*suffixes: str) -> Complete:
    """Return what completes presets, folders and files with one of some suffixes."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
        from hindmost import catalog

        presets = (name for name in catalog.names("presets") if name.startswith(incomplete))
        return [*presets, *_files(incomplete, suffixes)]

    return complete


def models(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Return models of the catalogue, folders and released configurations."""
    from hindmost import catalog

    named = (name for name in catalog.names("models") if name.startswith(incomplete))
    return [*named, *_files(incomplete, (".json",))]


def entries(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return names of the catalogue, of the kind that was given before."""
    from hindmost import catalog

    given = context.params.get("kind")
    kinds = (cast("catalog.Kind", given),) if given in catalog.KINDS else catalog.KINDS
    names = (name for kind in kinds for name in catalog.names(kind))
    return [name for name in names if name.startswith(incomplete)]


def one_of(*names: str) -> Complete:
    """Return what completes one of some names."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


def of_kind(kind: catalog.Kind) -> Complete:
    """Return what completes the names of one kind of the catalogue."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
        from hindmost import catalog

        return [name for name in catalog.names(kind) if name.startswith(incomplete)]

    return complete


def _files(incomplete: str, suffixes: tuple[str, ...]) -> Iterator[str]:
    """Yield the paths of files with one of some suffixes, and of folders with a slash."""
    before, slash, beginning = incomplete.rpartition("/")
    folder = f"{before}{slash}"
    with suppress(OSError, ValueError):
        for path in sorted(Path(folder).iterdir()):
            is_hidden = path.name.startswith(".") and not beginning.startswith(".")
            if is_hidden or not path.name.startswith(beginning):
                continue
            if path.is_dir():
                yield f"{folder}{path.name}/"
            elif path.suffix in suffixes:
                yield f"{folder}{path.name}"
