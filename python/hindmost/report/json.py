"""Documents as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def text(document: Mapping[str, Any]) -> str:
    r"""Return a document as indented JSON.

    Raises
    ------
    ValueError
        If a number is not finite, which JSON does not know.

    Examples
    --------
    >>> text({"seed": 1})
    '{\n  "seed": 1\n}\n'
    """
    return json.dumps(document, indent=2, allow_nan=False) + "\n"
