"""Draws docs/gallery.md with its files; `python -m tests.docs.gallery` writes them all."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.docs.markdown import ROOT

PAGE = ROOT / "docs" / "gallery.md"
FILES = ROOT / "docs" / "gallery"


@dataclass(frozen=True)
class Picture:
    """A plot: its heading, the command that draws it, and how to read it."""

    heading: str
    command: str
    words: str

    @property
    def file(self) -> str:
        """Name of the file that the command draws."""
        return self.command.rpartition("--plot ")[2].rpartition("=")[2]


RUN = "hindmost run colossus-1 --seed 0 --plot"
WITH_IDLE_POWER = "hindmost run h100-1k --set pools.h100.idle_power_w=70 --seed 0 --plot"
ALL_REDUCE = "hindmost collective all-reduce --gpus 1000,10000,100000 --bytes 1GiB"
TYPICAL = "hindmost explain h100-1k --set workload.stack=typical --mfu 0.31 --tolerance 0.02"
PICTURES = (
    Picture(
        "What the MFU may be",
        f"{RUN} forecast=forecast.svg",
        "Each tick is one draw of all that is not known; the dot is their median and the bar "
        "their 90% interval. Read the interval before the median.",
    ),
    Picture(
        "Where whole runs lose",
        f"{RUN} account=account.svg",
        "From the peak of all GPUs and hours at the top to the fleet MFU at the bottom: orange is "
        "what is lost, so the longest of these bars is what to look at first.",
    ),
    Picture(
        "The MFU of steps",
        f"{RUN} mfu=mfu.svg",
        "On the left where most steps lie; on the right, on a log scale, what share of steps is "
        "below each value: an end that is nearly flat is a heavy tail.",
    ),
    Picture(
        "The time of steps",
        f"{RUN} step_time=step_time.svg",
        "As above, in seconds: the right half answers how often a step takes longer than a limit.",
    ),
    Picture(
        "Who waits",
        f"{RUN} waiting=waiting.svg",
        "The share of a step in which ranks of each pool have nothing to do but wait for the "
        "slowest rank: the fastest pool waits most.",
    ),
    Picture(
        "Who is waited for",
        f"{RUN} slowest=slowest.svg",
        "The share of steps in which the slowest rank of all is of this pool. A pool with a much "
        "longer bar here than its share of the GPUs sets the pace.",
    ),
    Picture(
        "Power over a step",
        f"{WITH_IDLE_POWER} power=power.svg",
        "Watts of the cluster from the start of a mean step to its end: the drop is the swing "
        "that a supply has to carry at every step.",
    ),
    Picture(
        "What each mechanism costs",
        "hindmost attribute colossus-1 --seed 0 --plot attribute.svg",
        "From the MFU to the ideal, one Shapley value after another: what making each mechanism "
        "ideal gains on average over all orders of doing so.",
    ),
    Picture(
        "What an observation says",
        f"{TYPICAL} --runs 1 --steps 10 --seed 0 --plot explain.svg",
        "Each unknown, its median and 90% interval before and after the observation. Where both "
        "are alike, what was observed says nothing of it.",
    ),
    Picture(
        "One collective",
        f"{ALL_REDUCE} --gpu h100-sxm --fabric infiniband-ndr --plot collective.svg",
        "Seconds over GPUs, both on log scales: the latency of a ring grows with its ranks, that "
        "of a tree hardly does.",
    ),
    Picture(
        "Speed for users against work of GPUs",
        "hindmost serve --model llama3-70b --gpus 64xh200-sxm --plot serve.svg",
        "Right is faster for one user, up is more from a GPU: along the line no layout with any "
        "batch gives more of both, and what lies below it is never the best choice.",
    ),
)

REPORT = "hindmost report h100-1k --seed 0 -o report.html"
TIMELINE = "hindmost timeline colossus-1-pp16 --step 17 --seed 1 -o step.json.gz"


def render() -> str:
    """Return the page."""
    return "\n\n".join([head(), *map(section, PICTURES), files()]) + "\n"


def head() -> str:
    """Return what the page is."""
    return """# Gallery

Every picture is drawn by the command below it, with a fixed seed: the same command draws it for
you, and the name of your own scenario in place of the preset draws yours. All kinds of plots are in
[plots, reports and timelines](plots.md). `make gallery` draws this page and its files anew."""


def section(picture: Picture) -> str:
    """Return a picture with its command, and how to read it."""
    image = f"![{picture.heading}](gallery/{picture.file})"
    return f"## {picture.heading}\n\n{image}\n\n```sh\n{picture.command}\n```\n\n{picture.words}"


def files() -> str:
    """Return what is no picture: a report and a trace, to be opened or saved."""
    return f"""## A report, and one step as a trace

<a href="gallery/report.html">This report</a> is one page on a scenario, for a browser:

```sh
{REPORT}
```

<a href="gallery/step.json.gz">This trace</a> is one step with all its passes, and who waits for
whom. Save it, and open it in [Perfetto](https://ui.perfetto.dev):

```sh
{TIMELINE}
```"""


def draw(command: str, folder: Path) -> None:
    """Run a command in a folder, in which it writes its file."""
    words = [sys.executable, "-m", *shlex.split(command)]
    subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    FILES.mkdir(exist_ok=True)
    for one in (*(picture.command for picture in PICTURES), REPORT, TIMELINE):
        draw(one, FILES)
    PAGE.write_text(render(), encoding="utf-8")
