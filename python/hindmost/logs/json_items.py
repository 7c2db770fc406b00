"""Objects in one array of a JSON file, one after another, however long the file is."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Generator, Iterator
from typing import Any

from hindmost.logs.source import Source

LONGEST_ITEM = 1 << 20
"""Characters after which what cannot be decoded is damaged, and not merely unfinished."""
LONGEST_KEY = 1 << 10
"""Characters that are kept of a text in which the key of the array is looked for."""
LONGEST_VALUE = 1 << 26
"""Characters of a value beside the array, such as a table of all groups of ranks."""
_SPACE = re.compile(r"\s*")
_BETWEEN = re.compile(r"[\s,]*")
_NO_NUMBER = re.compile(r":\s*[-+]?(?:inf|nan)\b", re.IGNORECASE)
_decode = json.JSONDecoder().raw_decode


class JsonItems:
    """Iterator of the objects in one array of a JSON file, or of those that are the file.

    Only a piece of the file is in memory at any time. Damage costs the items that it is in: what
    begins after it is read again, and what is lost is told to the source.

    Parameters
    ----------
    source
        The file.
    key
        Key of the array in the object that the file holds, or None if the file is objects one after
        another without an array.
    begins
        Pattern of how an item begins, by which one is found after damage.
    """

    def __init__(self, source: Source, key: str | None, *, begins: str) -> None:
        self.others: dict[str, Any] = {}
        """Values of the other keys, as far as the file has been read."""
        self._source = source
        self._key = key
        # What stands inside an item comes after a colon, and what begins one after another item.
        self._begins = re.compile(rf"[,}}]\s*(?={begins})")
        self._array = re.compile(rf'"{re.escape(key or "")}"\s*:\s*(?=\[)')
        self._pieces = source.pieces()
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._text = ""
        self._at = 0
        self._ended = False
        self._n_damaged = 0
        self._is_cut = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        whole = yield from self._members() if self._key else self._items()
        for _ in self._pieces:
            pass  # What comes after the end is nothing, or is where a file is damaged.
        if self._n_damaged:
            places = "place is" if self._n_damaged == 1 else "places are"
            self._source.unread.append(
                f"{self._n_damaged} {places} damaged in {self._source.path.name}"
            )
        if not whole:
            self._source.unread.append(f"{self._source.path.name} is cut off or damaged")

    def _members(self) -> Generator[dict[str, Any], None, bool]:
        """Yield the items of the array in an object; what is returned is whether it has its end."""
        whole = self._passes("{")
        while whole and not self._passes("}"):
            found, key = self._value()
            if not (found and isinstance(key, str) and self._passes(":")):
                whole = self._finds_array()
            elif key != self._key:
                found, self.others[key] = self._value()
                if not found:
                    del self.others[key]
                    whole = self._finds_array()
            if whole and key == self._key and self._passes("["):
                whole = yield from self._items()
            self._passes(",")
        return whole

    def _items(self) -> Generator[dict[str, Any], None, bool]:
        """Yield items up to the end of their array; what is returned is whether it was found."""
        while True:
            self._at = _BETWEEN.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at == len(self._text):
                if self._more():
                    continue
                return self._key is None and not self._is_cut
            if self._text[self._at] == "]":
                self._at += 1
                return True
            try:
                item, self._at = _decode(self._text, self._at)
            except (ValueError, RecursionError):
                if len(self._text) - self._at < LONGEST_ITEM and self._more():
                    continue
                item = self._mended()
            if isinstance(item, dict):
                yield item

    def _mended(self) -> object:
        """Return the item at a damage if it can be, and pass it.

        Kineto has written ``inf`` as a number, which is none in JSON (pytorch/kineto#105).
        """
        start = self._at
        following = self._begins.search(self._text, start + 1)
        self._at = following.end() if following else len(self._text)
        fragment = _NO_NUMBER.sub(": null", self._text[start : self._at])
        try:
            return _decode(fragment)[0]
        except (ValueError, RecursionError):
            # What is unfinished at the end of a file is cut off, which is told of elsewhere.
            self._is_cut = self._ended and following is None
            self._n_damaged += not self._is_cut
            return None

    def _value(self) -> tuple[bool, Any]:
        self._passes("")
        while True:
            try:
                value, end = _decode(self._text, self._at)
            except (ValueError, RecursionError):
                end = len(self._text)
                value = None
            # A number that ends with the text may go on in the next piece.
            if end < len(self._text):
                self._at = end
                return True, value
            if len(self._text) - self._at > LONGEST_VALUE or not self._more():
                return False, None

    def _finds_array(self) -> bool:
        """Pass all up to the array."""
        while not (found := self._array.search(self._text, self._at)):
            self._at = max(self._at, len(self._text) - LONGEST_KEY)
            if not self._more():
                return False
        self._n_damaged += 1
        self._at = found.start()
        return True

    def _passes(self, mark: str) -> bool:
        """Pass white space, and a mark if it is the next."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text) or not self._more():
                break
        passed = bool(mark) and self._text.startswith(mark, self._at)
        self._at += len(mark) * passed
        return passed

    def _more(self) -> bool:
        """Read on until the text is twice as long, so that long items are not tried too often."""
        parts = [self._text[self._at :]]
        wanted = 2 * len(parts[0])
        self._at = 0
        length = len(parts[0])
        before = length
        while not self._ended and (length == before or length < wanted):
            piece = next(self._pieces, b"")
            self._ended = not piece
            parts.append(self._decoder.decode(piece, final=self._ended))
            length += len(parts[-1])
        self._text = "".join(parts)
        return length > before
