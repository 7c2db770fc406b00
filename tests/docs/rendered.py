"""Markdown of pages that are rendered from code: tables, and texts in lines of one width."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

WIDTH = 100


def table_of(head: Sequence[str], lines: Iterable[Sequence[str]], left: Sequence[int] = ()) -> str:
    """Return a table, some of whose columns are aligned to the left and all others to the right."""
    rule = [":---" if column in left else "---:" for column in range(len(head))]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *lines])


def filled(text: str) -> str:
    """Return a text with its paragraphs and items, but not its headings, in lines of one width."""
    parts = []
    for part in text.split("\n\n"):
        if part.startswith("#"):
            parts.append(part)
        elif part.startswith("- "):
            items = part.removeprefix("- ").split("\n- ")
            parts.append("\n".join(_wrapped(f"- {item}", "  ") for item in items))
        else:
            parts.append(_wrapped(part, ""))
    return "\n\n".join(parts)


def _wrapped(text: str, indent: str) -> str:
    """Return a text in lines of one width that break outside of code."""
    joined = re.sub(r"`[^`]+`", lambda code: code[0].replace(" ", "\0"), " ".join(text.split()))
    filled = textwrap.fill(joined, WIDTH, break_on_hyphens=False, subsequent_indent=indent)
    return filled.replace("\0", " ")
