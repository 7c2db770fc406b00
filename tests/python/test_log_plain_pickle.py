"""Pickles of plain data are read as Python reads them; all others are refused."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from hindmost.logs.plain_pickle import load_plain

PLAIN: Any = {
    "text": ["", "a", "é" * 300],
    "numbers": (0, 255, 256, 65_536, -1, 2**31, 2**62, -(2**80), 1.5, float("inf")),
    "others": (None, True, False, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], {}),
    "nested": [{"a": [{"b": (1, {"c": [2]})}]}] * 3,
    7: {"one": 1},
}


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_plain_data_are_read_as_python_reads_them(protocol: int) -> None:
    content = pickle.dumps(PLAIN, protocol=protocol)
    assert load_plain(iter([content[:10], content[10:]])) == PLAIN


def test_a_pickle_that_is_cut_anywhere_is_refused() -> None:
    content = pickle.dumps(PLAIN, protocol=2)
    for length in range(len(content)):
        with pytest.raises(ValueError, match="must be a whole pickle"):
            load_plain(iter([content[:length]]))


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(print),
        pickle.dumps({1}),
        pickle.dumps(b"bytes", protocol=4),
        pickle.dumps(bytearray(b"bytes"), protocol=5),
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x02]r\xff\xff\xff\x7fa.",
        b"\x80\x02]]s.",
        b"\x80\x02K\x01K\x02s.",
        b"\x80\x02.",
        b"\x80\x02e.",
        b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",
    ],
)
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="must be a whole pickle"):
        load_plain(iter([content]))


def test_a_large_number_in_the_memo_takes_no_memory() -> None:
    assert load_plain(iter([b"\x80\x02]r\xff\xff\xff\x7f."])) == []


def test_a_pickle_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hindmost.logs.plain_pickle.MOST_BYTES", 8)
    with pytest.raises(ValueError, match="at most 8 bytes"):
        load_plain(iter([pickle.dumps(PLAIN, protocol=2)]))
