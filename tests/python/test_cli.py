"""The command line: exit codes, what goes where, formats, full disks, closed pipes, interrupts."""

import contextlib
import csv
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import hindmost as hm
from hindmost import _core, catalog, cli
from hindmost.metrics import PERCENTILES

COMMAND = (sys.executable, "-m", "hindmost")
SMALL = ("h100-1k", "--steps", "6", "--runs", "2", "--seed", "4")
ENDLESS = ("colossus-1", "--steps", "200000")

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def call(*words: str, stdout: int = subprocess.PIPE, **environment: str) -> Done:
    """Run hindmost with some words in a process of its own."""
    return subprocess.run(
        [*COMMAND, *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, **environment},
        timeout=20,
        check=False,
    )


def shell(line: str, *words: str) -> Done:
    """Run a line of bash in which "$@" is hindmost with some words."""
    command = ["bash", "-o", "pipefail", "-c", line, "bash", *COMMAND, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs hindmost in this process, which is quicker."""

    def run(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["hindmost", *words])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        assert isinstance(caught.value.code, int)
        return Done(words, caught.value.code, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def small() -> hm.Result:
    """Return what `run` of SMALL simulates."""
    return hm.simulate("h100-1k", steps=6, runs=2, seed=4)


def summary_of(done: Done) -> list[dict[str, Any]]:
    summary: list[dict[str, Any]] = json.loads(done.stdout)["summary"]
    return summary


def test_json_is_what_simulate_returns_on_any_number_of_threads(small: hm.Result) -> None:
    documents = []
    for threads in (1, 2):
        words = ("--format", "json", "--at-values", "--threads", str(threads))
        done = call("run", *SMALL, *words)
        assert (done.returncode, done.stderr) == (0, "")
        document = json.loads(done.stdout)
        machine = document.pop("machine")
        assert machine.keys() == {"threads", "instruction_set", "wall_time_s"}
        assert machine["threads"] == threads
        documents.append(json.dumps(document))
    assert documents[0] == documents[1]
    expected = small.document()
    del expected["machine"]
    assert json.loads(documents[0]) == json.loads(json.dumps(expected))
    assert document["inputs"]["seed"] == 4


def test_csv_is_the_summary(in_process: Run, small: hm.Result) -> None:
    done = in_process("run", *SMALL, "--format", "csv", "--at-values")
    head, *rows = csv.reader(done.stdout.splitlines())
    assert head == small.summary.columns
    read = [
        (metric, statistic, float(value), float(error)) for metric, statistic, value, error in rows
    ]
    assert read == small.summary.rows()
    assert done.returncode == 0


def test_a_table_says_what_was_simulated_and_how(small: hm.Result) -> None:
    done = call("run", *SMALL, "--assumed")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("h100-1k: 1,024 GPUs")
    method = "method order-statistics (exact: each step is a tree of maxima)"
    assert f" Seed 4, 2 runs of 6 steps, {method}. " in " ".join(done.stdout.split())
    assert f"{small.value('mfu'):.4f} ± " in done.stdout
    for block in ("Assumed:", "Unknown:", "Not modelled:", "few rows lie beyond it"):
        assert block in done.stdout


HUGE = "causes.pause={law={name='constant',value=1e30},affects='compute',effect='stall',"
HUGE += "scope='cluster',span='step',probability=0.2}"
POWERS = ("--set", "pools.h100.peak_power_w=1e6", "--set", "pools.h100.idle_power_w=70")


@pytest.mark.parametrize(
    "words",
    [
        ("h100-1k",),
        ("h100-1k", "--runs", "1", *POWERS),
        ("colossus-1", "--steps", "40"),
        ("colossus-1", "--steps", "4000"),
        ("colossus-2", "--steps", "40"),
        ("palm-tpu-v4", "--runs", "2", "--steps", "10"),
        ("tpu-v4-optical", "--runs", "2", "--steps", "10"),
        ("llama3-405b-16384", "--runs", "2", "--steps", "10"),
        ("h100-1k", "--steps", "200", "--set", HUGE),
    ],
)
def test_tables_take_80_columns_and_all_percentiles_where_it_may_be_wide(
    in_process: Run, words: tuple[str, ...]
) -> None:
    tables = {}
    for more in (("--assumed",), ("--wide",)):
        done = in_process("run", *words, "--seed", "1", *more)
        assert done.returncode == 0
        blocks = done.stdout.split("\n\n")[2:5]
        assert blocks[0].startswith("forecast ")
        tables[more] = [line for block in blocks for line in block.splitlines()]
    narrow = tables[("--assumed",)]
    assert all(len(line) <= 80 for line in narrow), narrow
    title = ["at", "its", "values", "mean"]
    assert narrow[6].split() == [*title, "p5", "p50", "p95", "p99"]
    assert tables[("--wide",)][6].split() == [*title, *PERCENTILES]
    blocks = in_process("run", *words, "--seed", "1", "--assumed").stdout.split("\n\n")
    (notes,) = (block for block in blocks if block.startswith("MFU: "))
    assert ("few rows lie beyond it" in notes) == any("*" in line for line in narrow)


@pytest.mark.parametrize(
    "words",
    [
        ("h100-1k",),
        ("h100-1k", "--at-values"),
        ("colossus-1",),
        ("colossus-1", "--tokens", "15e12"),
        ("colossus-1-pp16",),
        ("colossus-2",),
        ("gpt3-h100-10752",),
        ("deepseek-v3-2048",),
        ("palm-tpu-v4",),
        ("tpu-v4-optical",),
        ("tpu-v4-static",),
        ("h100-1k", "--steps", "200", "--set", HUGE),
    ],
)
def test_what_is_to_be_known_first_takes_30_lines_of_80_columns(
    in_process: Run, words: tuple[str, ...]
) -> None:
    done = in_process("run", *words, "--seed", "1")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 80
    said = " ".join(done.stdout.split())
    for part in ("slowest in", "Not modelled: ", "nothing counted twice", "Seed 1, ", "--assumed"):
        assert part in said
    stands_out = "matters most" in said or "No unknown stands out among 16 draws" in said
    assert stands_out == ("--at-values" not in words)
    if "--tokens" in words:
        assert "tokens take" in said


def test_lines_are_as_long_as_the_terminal_is_wide(
    in_process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = {}
    for columns in (50, 120):
        monkeypatch.setenv("COLUMNS", str(columns))
        blocks = in_process("run", *SMALL, "--assumed").stdout.split("\n\n")
        notes[columns] = blocks[-1].splitlines()
        assert max(map(len, notes[columns])) <= columns
    assert len(notes[50]) > len(notes[120])


def test_what_many_pools_are_is_shortened(in_process: Run, tmp_path: Path) -> None:
    pools = "".join(f'[pools.p{k}]\ngpu = "h100-sxm"\nn_gpus = 64\n' for k in range(12))
    path = tmp_path / "many.toml"
    path.write_text('extends = ["h100-1k"]\n' + pools)
    done = in_process("run", str(path), "--seed", "1", "--steps", "10")
    assert done.returncode == 0, done.stderr
    assert "8 more" in done.stdout
    assert len(done.stdout.splitlines()) <= 30


def test_markdown_tables_have_as_many_cells_in_every_row(in_process: Run) -> None:
    done = in_process("run", *SMALL, "--format", "markdown")
    lines = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert sorted({line.count("|") for line in lines}) == [4, 8, 10]
    assert sum(set(line) <= set("|-:") for line in lines) == 3
    assert "**Assumed**\n\n- " in done.stdout


def test_a_drawn_seed_is_told_and_repeats_the_run(in_process: Run) -> None:
    words = ("run", "h100-1k", "--steps", "2", "--runs", "2")
    first, second = (in_process(*words, "--format", "json") for _ in range(2))
    seeds = [json.loads(done.stdout)["inputs"]["seed"] for done in (first, second)]
    assert seeds[0] != seeds[1]
    assert all(0 <= seed < 2**53 for seed in seeds)
    again = in_process(*words, "--format", "json", "--seed", str(seeds[0]))
    assert summary_of(again) == summary_of(first)
    table = in_process(*words)
    assert re.search(r"^Seed \d+, 2 runs", table.stdout, re.MULTILINE)


def test_a_drawn_seed_is_told_beside_csv(in_process: Run) -> None:
    done = in_process("run", "h100-1k", "--steps", "2", "--runs", "2", "--format", "csv")
    assert re.search(r"[Ss]eed \d+", done.stderr)


def test_set_sets_values_anew(in_process: Run) -> None:
    setting = ("--set", "pools.h100.n_gpus=2_048", "--set", "fabric.name=roce-400g")
    done = in_process("run", *SMALL, *setting, "--format", "json")
    scenario = json.loads(done.stdout)["inputs"]["scenario"]
    assert scenario["pools"]["h100"]["n_gpus"] == 2048
    assert scenario["fabric"] == {"name": "roce-400g"}


def test_wrong_settings_are_all_named_at_once(in_process: Run) -> None:
    settings = ("--set", "pools.h100.n_gpus=0", "--set", "workload.seqlen=8")
    done = in_process("validate", "h100-1k", *settings)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "hindmost: --set: pools.h100.n_gpus must be >= 1, got 0",
        'hindmost: --set: workload.seqlen is not a known key; did you mean "seq_len"?',
    ]


@pytest.mark.parametrize(
    ("threshold", "status"),
    [
        ("mfu.p50<0.9", 1),
        ("mfu.p50 > 0.9", 0),
        ("step_time_s.p99.9>=1e9", 0),
        ("step_time_s.p99.99>=1e9", 0),
        ("step_time_s.p99.99 < 1e9", 1),
        ("stall_s.mean<=1", 1),
    ],
)
def test_a_threshold_decides_the_status(in_process: Run, threshold: str, status: int) -> None:
    done = in_process(
        "run", *SMALL, "--format", "csv", "--fail-if", "mfu.mean<0", "--fail-if", threshold
    )
    assert done.returncode == status
    assert done.stdout.startswith("metric,")
    assert (threshold in done.stderr) == bool(status)


WRONG = {
    "": "Usage:",
    "run": "Missing argument",
    "rum": "No such command 'rum'",
    "run h100-2k": 'did you mean "h100-1k"?',
    "run none.toml": "none.toml: cannot be read: no such file or directory",
    "run none.parquet": "none.parquet: cannot be read: no such file or directory",
    "run wrong.parquet": "wrong.parquet: is no result that hindmost has written",
    "run h100-1k --steps 0": "'--steps'",
    "run h100-1k --runs 65537": "runs must be an integer from 1 to 65536, got 65537",
    "run h100-1k --seed -1": "'--seed'",
    "run h100-1k --seed 9007199254740992": "'--seed'",
    "run h100-1k --threads 0": "'--threads'",
    "run h100-1k --format xml": "'--format'",
    "run h100-1k --method guess": "'--method'",
    "run h100-1k --set abc": '--set must be KEY.PATH=VALUE, got "abc"',
    "run h100-1k --fail-if mfu<0.5": "--fail-if must be METRIC.STATISTIC",
    "run h100-1k --fail-if mfu.p42<0.5": "hindmost: --fail-if: statistic must be one of mean, p1,",
    "run h100-1k --fail-if mfo.p50<0.5": 'got "mfo"; did you mean "mfu"?',
    "validate h100-1k --set layout.shard_group_replicas=1": "60.4 GB more than the 85.5 GB",
    "catalog gpu": "'gpu' is not one of 'gpus'",
    "catalog gpus h100": 'did you mean "h100-sxm"?',
    "init x.txt": 'PATH must end in .toml, got "x.txt"',
    "init none/x.toml": "PATH must lie in a folder that exists",
}


@pytest.mark.parametrize(("words", "said"), WRONG.items(), ids=list(WRONG))
def test_a_wrong_call_has_status_2_and_says_why(in_process: Run, words: str, said: str) -> None:
    Path("wrong.parquet").write_text("PAR1")
    done = in_process(*words.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("path", ["none/x.csv", "folder.csv", "x.txt", "x" * 300 + ".csv"])
def test_an_output_that_cannot_be_is_refused_before_the_simulation(path: str) -> None:
    Path("folder.csv").mkdir()
    done = call("run", *ENDLESS, "-o", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--output must " in done.stderr
    assert [here.name for here in Path.cwd().rglob("*")] == ["folder.csv"]


def test_a_stored_run_repeats(in_process: Run, small: hm.Result) -> None:
    stored = in_process("run", *SMALL, "-o", "out.parquet", "--format", "json")
    assert stored.stderr == "wrote out.parquet\n"
    assert pl.read_parquet("out.parquet").equals(small.steps)
    again = in_process("run", "out.parquet", "--format", "json", "-o", "out.csv")
    assert summary_of(again) == summary_of(stored) == small.summary.to_dicts()
    assert len(Path("out.csv").read_text().splitlines()) == 1 + 12
    other = in_process("run", "out.parquet", "--format", "json", "--steps", "3", "-o", "out.json")
    assert json.loads(other.stdout)["inputs"]["steps"] == 3
    assert len(json.loads(Path("out.json").read_text())["steps"]["mfu"]) == 6
    wrong = in_process("run", "out.parquet", "--set", "layout.tensor=3")
    assert wrong.stderr.startswith("hindmost: --set: layout.tensor must divide")


@pytest.mark.parametrize("words", ["run " + " ".join(SMALL), "schema", "--help"])
def test_a_full_disk_behind_stdout_has_status_3(words: str) -> None:
    done = shell('"$@" > /dev/full', *words.split())
    assert done.returncode == 3
    assert re.fullmatch(r"hindmost: .*no space left on device\n", done.stderr, re.IGNORECASE)


@pytest.mark.parametrize("words", [("schema",), ("run", *SMALL, "--format", "csv")])
def test_a_closed_pipe_ends_quietly(words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = call(*words, stdout=writer)
    os.close(writer)
    told = "seed 4\n" if "csv" in words else ""
    assert (done.returncode, done.stderr) == (0, told)


def test_a_reader_of_one_line_gets_one_line_quietly() -> None:
    done = shell('"$@" | head -1', "run", *SMALL)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("h100-1k: 1,024 GPUs")


@pytest.mark.parametrize(
    ("line", "words", "status"),
    [
        ('"$@" 2>&-', SMALL, 0),
        ('"$@" 2>/dev/full', SMALL, 0),
        ('"$@" 2>&-', ("nope",), 2),
        ('"$@" 2>/dev/full', ("nope",), 2),
    ],
)
def test_a_stderr_that_takes_nothing_leaves_the_status(
    line: str, words: tuple[str, ...], status: int
) -> None:
    assert shell(line, "run", *words).returncode == status


def test_a_closed_stdout_is_no_error() -> None:
    done = shell('"$@" >&-', "run", *SMALL)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def in_a_terminal(words: tuple[str, ...], until: bytes, then: Callable[[int], None]) -> bytes:
    """Return what a terminal shows of a call; `then` gets its process once that shows `until`."""
    terminal, side = pty.openpty()
    environment = {**os.environ, "NO_COLOR": "1"}
    process = subprocess.Popen([*COMMAND, *words], stdout=side, stderr=side, env=environment)
    os.close(side)
    shown = b""
    # The end of a terminal is an error.
    with contextlib.suppress(OSError):
        while part := os.read(terminal, 4096):
            shown += part
            if until in shown:
                then(process.pid)
                until = b"never again"
    os.close(terminal)
    return shown + f"status {process.wait()}".encode()


@pytest.mark.timed
@pytest.mark.parametrize("preset", ["h100-1k", "colossus-1-pp16"])
def test_an_interrupt_ends_a_long_run_within_a_second_without_a_trace(preset: str) -> None:
    interrupted = []

    def interrupt(process: int) -> None:
        time.sleep(0.3)
        interrupted.append(time.monotonic())
        os.kill(process, signal.SIGINT)

    shown = in_a_terminal(
        ("run", preset, *ENDLESS[1:], "-o", "out.parquet"), b"simulating", interrupt
    )
    assert time.monotonic() - interrupted[0] < 1
    assert shown.endswith(b"hindmost: interrupted\r\nstatus 130")
    assert b"Traceback" not in shown
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")
    assert list(Path.cwd().iterdir()) == []


SLOW_DISK = """
import os, sys, time
from hindmost.cli import main
def fsync(_):
    print("writing", file=sys.stderr, flush=True)
    time.sleep(20)
os.fsync = fsync
sys.argv = ["hindmost", *sys.argv[1:]]
main()
"""


def test_a_run_that_is_terminated_while_it_writes_leaves_nothing() -> None:
    command = [sys.executable, "-c", SLOW_DISK, "run", *SMALL, "-o", "out.csv"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "writing\n"
        assert len(list(Path.cwd().iterdir())) == 1
        process.terminate()
        assert process.stderr.read() == "hindmost: terminated\n"
    assert process.returncode == 143
    assert list(Path.cwd().iterdir()) == []


def test_a_long_run_that_is_terminated_ends_soon() -> None:
    command = [*COMMAND, "run", *ENDLESS, "-o", "out.parquet"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(1.5)
        process.terminate()
        _, told = process.communicate(timeout=3)
    assert (process.returncode, told) == (143, "hindmost: terminated\n")
    assert list(Path.cwd().iterdir()) == []


def test_a_terminal_shows_progress_and_no_colour_where_none_is_wanted() -> None:
    shown = in_a_terminal(("run", *SMALL), b"simulating", lambda _: None)
    assert b"100%" in shown
    assert re.search(rb"\x1b\[[\d;]*m", shown) is None
    assert shown.endswith(b"status 0")


ESCAPES = r"\u001b[31mred\u001b]0;pwn\u0007 \u009b2J evil\nline2"
"""A string of TOML with what would act on a terminal."""


@pytest.mark.parametrize("command", ["run --steps 2 --runs 2", "validate"])
@pytest.mark.parametrize("style", ["table", "markdown", "csv", "json"])
@pytest.mark.parametrize(
    "part",
    [
        'name = "ESCAPES"\nextends = ["h100-1k"]',
        'extends = ["h100-1k"]\nnot_modelled = ["ESCAPES"]',
        'extends = ["h100-1k"]\n[unknowns]\n"ESCAPES" = { name = "constant", value = 1 }',
        'extends = ["h100-1k"]\n[basis]\ncauses = { kind = "assumed", where = "ESCAPES" }',
        'extends = ["h100-1k"]\n[pools."ESCAPES"]\ngpu = "x"',
        'extends = ["ESCAPES"]',
        'extends = ["h100-1k"]\n"ESCAPES" = 1',
    ],
)
def test_nothing_in_a_scenario_acts_on_a_terminal(
    in_process: Run, command: str, style: str, part: str
) -> None:
    Path("evil.toml").write_text(part.replace("ESCAPES", ESCAPES))
    verb, *words = command.split()
    words += ["--format", style] * (verb == "run")
    done = in_process(verb, "evil.toml", *words)
    assert done.returncode in (0, 2)
    for line in (done.stdout + done.stderr).splitlines():
        assert line.isprintable(), line


def test_nothing_that_was_typed_acts_on_a_terminal(in_process: Run) -> None:
    evil = "\x1b[31mred"
    Path(f"{evil}.txt").touch()
    for words in (
        (evil,),
        ("run", evil),
        ("run", f"{evil}.toml"),
        ("run", f"{evil}.parquet"),
        ("run", "h100-1k", evil),
        ("run", "h100-1k", "--steps", evil),
        ("run", "h100-1k", "--set", f"{evil}=1"),
        ("run", "h100-1k", "--fail-if", f"{evil}<1"),
        ("run", "h100-1k", "-o", f"{evil}.txt"),
        ("run", *SMALL, "--format", "csv", "-o", f"{evil}.csv"),
        ("init", f"{evil}.toml"),
        ("catalog", "gpus", evil),
    ):
        done = in_process(*words)
        for line in (done.stdout + done.stderr).splitlines():
            assert line.isprintable(), words


def test_debug_shows_where_an_error_comes_from() -> None:
    for words in (("--debug", "run", "nope"), ("run", "nope", "--debug")):
        done = call(*words)
        assert done.stderr.startswith("Traceback (most recent call last):\n")
        assert done.returncode == 2


def test_an_internal_error_has_status_3_and_no_trace(
    in_process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("hindmost.scenario.load.load", fail)
    done = in_process("validate", "h100-1k")
    message = "hindmost: internal error, ZeroDivisionError: by zero (--debug shows where)\n"
    assert (done.returncode, done.stderr) == (3, message)


FAILURES = {
    "memory": (MemoryError(), "out of memory; fewer --steps, --runs or --threads need less"),
    "memory for an array": (
        MemoryError("Unable to allocate 596. MiB for an array"),
        "out of memory (Unable to allocate 596. MiB for an array); "
        "fewer --steps, --runs or --threads need less",
    ),
    "threads": (
        _core.ThreadsError("the operating system does not start 1024 threads: try again"),
        "the operating system does not start 1024 threads: try again (--debug shows where)",
    ),
    "what the core did not expect": (
        RuntimeError("a worker panicked"),
        "internal error, RuntimeError: a worker panicked (--debug shows where)",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_what_fails_inside_is_told_with_status_3(
    in_process: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    error, said = FAILURES[name]

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("hindmost.simulation.simulate", fail)
    monkeypatch.setattr("hindmost.cli.app.close_stdout", lambda: None)
    done = in_process("run", *SMALL)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", f"hindmost: {said}\n")


def test_a_terminal_of_ascii_gets_ascii() -> None:
    done = call("run", *SMALL, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert " +- " in done.stdout
    missing = call("run", "größe.toml", PYTHONIOENCODING="ascii")
    assert missing.returncode == 2
    assert missing.stderr.endswith("cannot be read: no such file or directory\n")


def test_init_writes_a_scenario_that_runs_and_leaves_one_that_is_there(
    in_process: Run,
) -> None:
    first = in_process("init", "mine.toml")
    assert (first.returncode, first.stdout) == (0, "")
    text = Path("mine.toml").read_text()
    assert in_process("init").stdout == text
    valid = in_process("validate", "mine.toml")
    assert valid.returncode == 0
    assert valid.stdout.startswith("my-cluster: 1,536 GPUs (1,024 h100-sxm + 512 h200-sxm)")
    assert in_process("run", "mine.toml", "--steps", "2", "--runs", "2").returncode == 0
    Path("mine.toml").write_text(text + "# mine\n")
    again = in_process("init", "mine.toml")
    assert (again.returncode, Path("mine.toml").read_text()) == (2, text + "# mine\n")
    assert again.stderr == 'hindmost: PATH must not exist yet, got "mine.toml"\n'


def test_the_example_cause_of_a_new_scenario_can_be_deleted(in_process: Run) -> None:
    in_process("init", "mine.toml")
    text = Path("mine.toml").read_text()
    whole = text[text.index("# A cause of your own") : text.index("\n[basis]\n")]
    cause = whole[: whole.index("[basis.")]
    for part, n_warnings in ((whole, 0), (cause, 1)):
        Path("less.toml").write_text(text.replace(part, ""))
        done = in_process("run", "less.toml", "--steps", "2", "--runs", "2")
        assert done.returncode == 0
        assert "cooling" not in done.stdout
        assert done.stderr.count("hindmost: warning: ") == n_warnings


def test_the_catalogue_lists_names_and_shows_entries(in_process: Run) -> None:
    listing = {kind: list(catalog.names(kind)) for kind in catalog.KINDS}
    assert json.loads(in_process("catalog", "--format", "json").stdout) == listing
    lines = [f"{kind}: {', '.join(names)}" for kind, names in listing.items()]
    assert in_process("catalog").stdout.splitlines() == lines
    assert in_process("catalog", "models").stdout == f"{lines[2]}\n"
    text = in_process("catalog", "gpus", "h100-sxm").stdout
    assert text == catalog.text("gpus", "h100-sxm")
    shown = json.loads(in_process("catalog", "gpus", "h100-sxm", "--format", "json").stdout)
    assert shown == tomllib.loads(text)


def test_help_and_version_have_status_0() -> None:
    shown = call("--help")
    assert shown.returncode == 0
    assert all(name in shown.stdout for name in ("run", "init", "validate", "schema", "catalog"))
    assert hm.__version__ in call("--version").stdout
