"""Pickles of nothing but containers, texts and numbers, which run no code when they are read."""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterator
from typing import Any

MOST_BYTES = 1 << 28
"""Bytes of a pickle, which is in memory as a whole."""
VALUES = frozenset(
    ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE")
)
"""Opcodes whose argument is a value."""
MEMO = {"BINPUT": True, "LONG_BINPUT": True, "BINGET": False, "LONG_BINGET": False}
"""Opcodes that keep the last value under a number, and those that fetch one."""
MADE: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
"""Opcodes without an argument, and their values."""
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
"""Lengths of short tuples."""


def load_plain(pieces: Iterator[bytes]) -> object:
    """Return the object in a pickle.

    The unpickler of Python would do with its ``find_class`` closed, but for a damaged or harmful
    file it asks for as much memory as the file says (python/cpython#115952). Here an opcode that
    plain data of protocols 2 to 4 do not need is refused, whatever it does.

    Parameters
    ----------
    pieces
        The bytes of the file.

    Raises
    ------
    ValueError
        If it is cut off, damaged or too long, or holds anything else.

    Examples
    --------
    >>> import pickle
    >>> load_plain(iter([pickle.dumps({"a": [1, None, ("b", 2.5)]}, protocol=2)]))
    {'a': [1, None, ('b', 2.5)]}
    """
    content = bytearray()
    for piece in pieces:
        content += piece
        if len(content) > MOST_BYTES:
            raise ValueError(f"must be at most {MOST_BYTES} bytes")
    try:
        return _run(bytes(content))
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"must be a whole pickle of plain data: {error}") from error


def _run(content: bytes) -> object:
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[Any, Any] = {}

    def since_mark() -> list[Any]:
        mark = marks.pop()
        values = stack[mark:]
        del stack[mark:]
        return values

    for opcode, argument, _ in pickletools.genops(content):
        name = opcode.name
        if name in VALUES:
            stack.append(argument)
        elif name in MADE:
            stack.append(MADE[name]())
        elif name in MEMO:
            if MEMO[name]:
                memo[argument] = stack[-1]
            else:
                stack.append(memo[argument])
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name == "MARK":
            marks.append(len(stack))
        elif name == "TUPLE":
            stack.append(tuple(since_mark()))
        elif name in TUPLES:
            stack[-TUPLES[name] :] = [tuple(stack[-TUPLES[name] :])]
        elif name in ("APPEND", "APPENDS"):
            values = [stack.pop()] if name == "APPEND" else since_mark()
            stack[-1].extend(values)
        elif name in ("SETITEM", "SETITEMS"):
            if name == "SETITEM":
                marks.append(len(stack) - 2)
            values = since_mark()
            stack[-1].update(zip(values[::2], values[1::2], strict=True))
        elif name == "STOP":
            return stack.pop()
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"{name} is not needed for these")
    raise ValueError("it has no end")
