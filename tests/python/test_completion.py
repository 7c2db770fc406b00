"""What a shell completes, by the protocol that click has with bash."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hindmost import catalog


@pytest.fixture(autouse=True)
def _in_a_folder_with_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine.toml", "mine.parquet", "mine.csv", ".hidden.toml"):
        Path(name).touch()
    Path("more").mkdir()
    Path("more/other.toml").touch()


def completed(*words: str) -> list[str]:
    """Return what bash is offered for the last word of a line."""
    environment = {
        **os.environ,
        "_HINDMOST_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["hindmost", *words]),
        "COMP_CWORD": str(len(words)),
    }
    program = "import sys; sys.argv[0] = 'hindmost'; from hindmost.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [line.partition(",")[2] for line in done.stdout.split()]


def test_a_run_is_of_a_preset_or_a_file() -> None:
    names = completed("run", "")
    assert set(catalog.names("presets")) < set(names)
    assert set(names) - set(catalog.names("presets")) == {"mine.parquet", "mine.toml", "more/"}
    assert completed("run", "colossus-1-") == ["colossus-1-pp16"]
    assert completed("run", "mi") == ["mine.parquet", "mine.toml"]
    assert completed("run", "more/") == ["more/other.toml"]
    assert completed("run", "none/") == []


def test_what_is_validated_is_no_stored_run() -> None:
    assert completed("validate", "mi") == ["mine.toml"]
    assert "h100-1k" in completed("validate", "h")


@pytest.mark.parametrize("kind", catalog.KINDS)
def test_entries_of_the_catalogue_are_those_of_their_kind(kind: catalog.Kind) -> None:
    assert completed("catalog", kind, "") == list(catalog.names(kind))


def test_kinds_of_the_catalogue_and_commands_are_known() -> None:
    assert completed("catalog", "") == list(catalog.KINDS)
    assert completed("catalog", "gpus", "h100-s") == ["h100-sxm"]
    assert "validate" in completed("va")


def test_a_collective_is_of_entries_of_the_catalogue() -> None:
    assert completed("collective", "all-r") == ["all-reduce"]
    assert completed("collective", "all-reduce", "--gpu", "h100-") == [
        name for name in catalog.names("gpus") if name.startswith("h100-")
    ]
    assert completed("collective", "all-reduce", "--fabric", "") == list(catalog.names("fabrics"))
