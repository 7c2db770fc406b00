"""Files of a log, read from the begin to the end without holding more than a piece of them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

from hindmost.errors import Problem, ScenarioError

Progress = Callable[[int, int], object]
"""Called with the bytes that are read, and those of all files."""

HEAD_BYTES = 1 << 18
"""Bytes from which it is told what a file holds."""
PIECE_BYTES = 1 << 20
_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)
LONGEST_LINE = 1 << 16
"""Characters of a line that are read; the rest of a longer one is not of a training log."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file of a log, plain or compressed by gzip.

    Attributes
    ----------
    path : Path
        Where it is.
    n_bytes : int
        Its size as it is stored.
    modified_ns : int
        When it was written last.
    """

    path: Path
    n_bytes: int
    modified_ns: int
    told: Callable[[int], object] = field(default=lambda _: None, compare=False, repr=False)
    """Called with the bytes that have been read since it was called last."""
    unread: list[str] = field(default_factory=list, compare=False)
    """What could not be read of it so far, such as what follows a cut."""

    @classmethod
    def of(cls, path: Path, told: Callable[[int], object]) -> Source:
        """Return the file at a path.

        Raises
        ------
        ScenarioError
            If it cannot be read, or holds nothing.
        """
        try:
            found = path.stat()
            source = cls(path=path, n_bytes=found.st_size, modified_ns=found.st_mtime_ns, told=told)
            is_empty = not source.head
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise _refused(path, f"must be a file that can be read: {reason}") from None
        if is_empty:
            raise _refused(path, "must not be empty")
        return source

    @property
    def head(self) -> bytes:
        """Its first bytes, decompressed."""
        return _head(self.path, self.n_bytes, self.modified_ns)

    @property
    def is_binary(self) -> bool:
        """Whether it holds bytes that no text has."""
        return b"\0" in self.head

    @property
    def text(self) -> str:
        """The first characters, by which a reader recognises its own."""
        return self.head.decode("utf-8", errors="replace")

    def pieces(self) -> Iterator[bytes]:
        """Yield all bytes in pieces, decompressed; of a file that is cut, what there is."""
        before = 0
        with _opened(self.path) as file:
            stored = cast("BinaryIO", getattr(file, "fileobj", None) or file)
            try:
                while piece := file.read1(PIECE_BYTES):
                    yield piece
                    now = stored.tell()
                    self.told(now - before)
                    before = now
            except _DAMAGED:
                self.unread.append(f"{self.path.name} is compressed, and is cut off or damaged")

    def lines(self, *words: bytes) -> Iterator[str]:
        """Yield lines without their ends; a carriage return ends a line, too.

        A last line that has no end is left out: half a number is a number, too.

        Parameters
        ----------
        *words
            Of which a line must hold one; without any, all lines are wanted. Lines that hold none
            cost next to nothing.
        """
        rest = b""
        for piece in self.pieces():
            text = (rest + piece).replace(b"\r", b"\n")
            end = text.rfind(b"\n") + 1
            whole, rest = text[:end], text[end:]
            for line in _lines_with(words, whole) if words else whole.split(b"\n")[:-1]:
                yield line[:LONGEST_LINE].decode("utf-8", errors="replace")
            rest = rest[: 2 * LONGEST_LINE]
        if rest:
            self.unread.append(f"the last line of {self.path.name} has no end, and may be cut off")


def _lines_with(words: Sequence[bytes], text: bytes) -> Iterator[bytes]:
    """Yield the lines that hold a word, of a text that ends in a line's end."""
    hits = {word: text.find(word) for word in words}
    hits = {word: at for word, at in hits.items() if at >= 0}
    while hits:
        first = min(hits.values())
        end = text.index(b"\n", first)
        yield text[text.rfind(b"\n", 0, first) + 1 : end]
        for word, at in list(hits.items()):
            if at < end:
                hits[word] = text.find(word, end)
                if hits[word] < 0:
                    del hits[word]


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader | gzip.GzipFile]:
    with path.open("rb") as file:
        if file.peek(2)[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=file) as inner:
                yield inner
        else:
            yield file


# Every reader looks at the head of a file, one file after another: all heads of a folder that has a
# file of each rank would take gigabytes.
@lru_cache(maxsize=16)
def _head(path: Path, *identity: int) -> bytes:
    """Return the first bytes of a file; `identity` tells it from earlier ones in its place."""
    del identity
    head = b""
    # What comes before a cut may be enough to tell.
    with _opened(path) as file, suppress(*_DAMAGED):
        while len(head) < HEAD_BYTES and (piece := file.read1(HEAD_BYTES - len(head))):
            head += piece
    return head


def _refused(path: Path, requirement: str) -> ScenarioError:
    return ScenarioError([Problem(path=str(path), requirement=requirement)])
