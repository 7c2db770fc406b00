"""Memory of values by what they are made of."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")

MAX_KEY_BYTES = 1024
"""Bytes of data that are a key themselves, at most; keys of more data are digests."""


class Memo(Generic[Value]):
    """Values that are made once and kept by their key, the last used ones.

    What is kept must not change. Any thread may ask at any time; threads that ask for a new value
    at the same time may each make it.

    Parameters
    ----------
    size
        Values that are kept, at most.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[Any, Value] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Any, make: Callable[[], Value]) -> Value:
        """Return the value of a hashable key, made if it is not there."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            self._values[key] = value
            if len(self._values) > self._size:
                self._values.popitem(last=False)
        return value


def digest(value: Any) -> bytes:
    """Return a key of plain data: numbers, texts, lists and dictionaries.

    Equal keys mean equal data. The reverse need not hold, which costs no more than making a value
    anew.
    """
    data = pickle.dumps(value, protocol=5)
    if len(data) <= MAX_KEY_BYTES:
        return data
    # It takes long to import.
    from hashlib import blake2b

    return blake2b(data, digest_size=32).digest()
