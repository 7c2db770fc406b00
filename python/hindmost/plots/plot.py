"""A plot, and how it is drawn and written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hindmost.errors import Problem, ScenarioError
from hindmost.files import check_writable, replace

SUFFIXES = (".svg", ".png", ".json")
"""Suffixes of the files that a plot is written to; JSON holds its specification."""
VEGA_LITE = "5.21"
"""Version of Vega-Lite that specifications are written for: notebooks know the fifth."""
IN_BROWSERS = "6.4"
"""Version that pages draw them with: the bundle of an older one has a newer Vega, and warns."""
PNG_SCALE = 2.0
"""Pixels of a PNG for each point of a plot."""


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A plot: a Vega-Lite specification as a plain dictionary.

    In a notebook it shows itself. It is drawn by vl-convert, which needs no browser and no network:
    ``pip install 'hindmost[report]'``.

    Attributes
    ----------
    spec : dict
        The specification, with its data.
    """

    spec: Mapping[str, Any]

    @property
    def browser_spec(self) -> dict[str, Any]:
        """The specification for `vega_bundle`."""
        return {**self.spec, "$schema": schema(IN_BROWSERS)}

    def svg(self) -> str:
        """Return the plot as SVG.

        Raises
        ------
        ScenarioError
            If vl-convert is not installed.
        """
        drawn: str = _vl_convert().vegalite_to_svg(dict(self.spec), vl_version=VEGA_LITE)
        return drawn

    def png(self) -> bytes:
        """Return the plot as PNG, of two pixels a point.

        Raises
        ------
        ScenarioError
            If vl-convert is not installed.
        """
        drawn: bytes = _vl_convert().vegalite_to_png(
            dict(self.spec), vl_version=VEGA_LITE, scale=PNG_SCALE
        )
        return drawn

    def write(self, path: str | Path) -> None:
        """Write the plot to a .svg or .png file, or its specification to a .json file.

        The file is there whole or not at all.

        Raises
        ------
        ScenarioError
            If no file could be written there, or vl-convert is not installed.
        OutputError
            If writing fails.
        """
        path = Path(path)
        check_plot(path)
        if path.suffix == ".json":
            data = json.dumps(self.spec, allow_nan=False).encode()
        elif path.suffix == ".svg":
            data = self.svg().encode()
        else:
            data = self.png()
        replace(path, memoryview(data))

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """Return what a notebook shows: the specification, and a picture where one can be drawn."""
        shown: dict[str, Any] = {"application/vnd.vegalite.v5+json": dict(self.spec)}
        if is_drawable():
            shown["image/svg+xml"] = self.svg()
        return shown


def schema(version: str) -> str:
    """Return the name of the schema of a version of Vega-Lite."""
    return f"https://vega.github.io/schema/vega-lite/v{version}.json"


def check_plot(path: Path, *, name: str = "path") -> None:
    """Refuse a file to which no plot could be written.

    Parameters
    ----------
    path
        The file.
    name
        What problems call it.

    Raises
    ------
    ScenarioError
        If no file could be written there, or nothing is installed that draws it.
    """
    check_writable(path, SUFFIXES, name=name)
    if path.suffix != ".json" and not is_drawable():
        raise ScenarioError([_missing(name, str(path))])


def check_drawable(name: str) -> None:
    """Refuse to draw where nothing is installed that does; problems are of `name`.

    Raises
    ------
    ScenarioError
        If vl-convert is not installed.
    """
    if not is_drawable():
        raise ScenarioError([_missing(name, None)])


def is_drawable() -> bool:
    """Return whether vl-convert is installed."""
    from importlib.util import find_spec

    return find_spec("vl_convert") is not None


def vega_bundle() -> str:
    """Return the script that draws specifications in a browser, whole: some 0.9 MB.

    Raises
    ------
    ScenarioError
        If vl-convert, which has it, is not installed.
    """
    bundle: str = _vl_convert().javascript_bundle(vl_version=IN_BROWSERS)
    return bundle


def _vl_convert() -> Any:
    check_drawable("plot")
    import vl_convert

    return vl_convert


def _missing(name: str, value: str | None) -> Problem:
    requirement = "needs vl-convert, which draws plots without a browser"
    hint = "pip install 'hindmost[report]'; a .json file needs nothing"
    return Problem(path=name, requirement=requirement, value=value, hint=hint)
