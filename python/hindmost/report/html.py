"""Parts of an HTML page: everything that is not markup of ours is escaped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from hindmost.plots.plot import Plot, vega_bundle
from hindmost.report.content import Listing, Table

STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --dim: #5c5c5c; --rule: #d8d8d8; --page: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececec; --dim: #a6a6a6; --rule: #444; --page: #161616; }
}
body { font: 16px/1.5 sans-serif; color: var(--ink); background: var(--page);
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .3rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; border-bottom: 1px solid var(--rule); }
p.lead { font-size: 1.15rem; margin-top: 0; }
p.note, figcaption, li { color: var(--dim); }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .9rem .15rem 0; text-align: right; border-bottom: 1px solid var(--rule);
  vertical-align: top; }
th:first-child, td:first-child { text-align: left; }
th { font-weight: normal; color: var(--dim); }
figure { margin: 1rem 0; overflow-x: auto; }
figure svg { max-width: 100%; height: auto; }
pre { overflow-x: auto; padding: .6rem; border: 1px solid var(--rule); font-size: .85rem; }
@media print { body { max-width: none; margin: 0; } h2, figure, table { break-inside: avoid; }
  details { display: none; } }
""".strip()
"""Light and dark by what the reader's system prefers; prints in black on white."""


def document(name: str, parts: Iterable[str]) -> str:
    """Return a page that needs no network and runs no script.

    Parameters
    ----------
    name
        Title of the window.
    parts
        Markup.
    """
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(name)}</title>\n<style>\n{STYLE}\n</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def title(text: str) -> str:
    """Return the heading of the page."""
    return f"<h1>{escape(text)}</h1>"


def heading(text: str) -> str:
    """Return the heading of a section."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph; its kind is ``lead`` or ``note``."""
    name = f' class="{kind}"' if kind else ""
    return f"<p{name}>{escape(text)}</p>"


def table(of: Table) -> str:
    """Return a table."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in of.headings)
    rows = "\n".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in of.rows
    )
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"


def listing(of: Listing) -> str:
    """Return a list under its title, folded."""
    lines = "\n".join(f"<li>{escape(line)}</li>" for line in of.lines)
    name = f"{escape(of.title)} ({len(of.lines)})"
    return f"<details open><summary>{name}</summary>\n<ul>\n{lines}\n</ul>\n</details>"


@dataclass
class Figures:
    """Plots of one page: pictures, which a script may bring to life.

    Attributes
    ----------
    are_interactive : bool
        Whether a script replaces each picture by one that can be pointed at.
    """

    are_interactive: bool = False
    _specs: list[str] = field(default_factory=list)

    def figure(self, plot: Plot, caption: str) -> str:
        """Return a plot within the page, with what it shows for those who do not see it."""
        name = ""
        if self.are_interactive:
            name = f' id="plot-{len(self._specs)}"'
            # A text that ends a script must not stand within one.
            self._specs.append(
                json.dumps(plot.browser_spec, allow_nan=False).replace("<", "\\u003c")
            )
        return (
            f'<figure role="img" aria-label="{escape(caption)}">\n'
            f"<div{name}>{plot.svg()}</div>\n"
            f"<figcaption>{escape(caption)}</figcaption>\n</figure>"
        )

    def script(self) -> str:
        """Return what brings the pictures to life, with all that it needs; nothing otherwise."""
        if not self.are_interactive:
            return ""
        specs = ",".join(self._specs)
        return (
            f"<script>{vega_bundle()}</script>\n"
            f"<script>[{specs}].forEach((spec, k) => "
            'vegaEmbed(`#plot-${k}`, spec, {renderer: "svg", actions: false}));</script>'
        )


def code(lines: Sequence[str]) -> str:
    """Return lines of code."""
    return f"<pre>{escape(chr(10).join(lines))}</pre>"
