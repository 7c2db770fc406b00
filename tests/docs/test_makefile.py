"""Targets of the Makefile are listed by `make help`, and documents name no others."""

import re
import shutil
import subprocess

import pytest

from tests.docs.markdown import ROOT, blocks, code_spans, pages, text_of

PHONY = re.search(r"^\.PHONY: (.+)$", text_of(ROOT / "Makefile"), flags=re.MULTILINE)
assert PHONY is not None
TARGETS = PHONY[1].split()


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_help_lists_every_target_with_what_it_does() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    listed = [re.fullmatch(r"make (\w+) +(\S.*)", line) for line in done.stdout.splitlines()]
    assert [match[1] for match in listed if match] == TARGETS


def test_documents_name_targets_that_exist() -> None:
    found = set()
    for page in pages():
        text = text_of(page)
        lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
        for line in [*lines, *code_spans(text)]:
            if match := re.match(r" *make (\w+)", line):
                found.add(match[1])
    assert {"demo", "test", "help", "references"} <= found <= set(TARGETS)
