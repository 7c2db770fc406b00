"""Pickles of nothing but containers, texts and numbers, which run no code when they are read."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from io import BufferedReader, RawIOBase

MOST_BYTES = 1 << 28
"""Bytes after which a pickle ends: it is in memory as a whole."""
DAMAGED = (
    pickle.UnpicklingError,
    *(EOFError, AttributeError, IndexError, KeyError, MemoryError, OverflowError),
    *(RecursionError, TypeError, ValueError),
)
"""What reading a damaged pickle may raise."""


def load_plain(pieces: Iterator[bytes]) -> object:
    """Return the object in a pickle.

    Parameters
    ----------
    pieces
        The bytes of the file.

    Raises
    ------
    pickle.UnpicklingError
        If it has an object of any class. One of `DAMAGED` if it is cut off or damaged.
    """
    return _Plain(BufferedReader(_Pieces(pieces))).load()


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        raise pickle.UnpicklingError(f"{module}.{name} is no plain data")


class _Pieces(RawIOBase):
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")
        self._n_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if not self._left and self._n_bytes < MOST_BYTES:
            self._left = memoryview(next(self._pieces, b""))
            self._n_bytes += len(self._left)
        part = self._left[: len(buffer)]
        buffer[: len(part)] = part
        self._left = self._left[len(part) :]
        return len(part)
