"""Seconds to a first image: import, first visible progress, the whole command, each with an empty cache.

python -m benchmarks.starting my.jpg --runs 3
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import torch

from relume.core.runtime import describe

BAR, STEP = re.compile(rb"\d+/\d+ \["), re.compile(rb"[1-9]\d*/\d+ \[")  # a progress bar, and one that has moved
ROWS = ("import relume", "first bar", "first step", "whole")


@click.command(help=__doc__)
@click.argument("picture", type=click.Path(path_type=Path, exists=True))
@click.option("--runs", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--network", default="alexnet", show_default=True)
@click.option("--layer", default="conv3", show_default=True)
def main(picture: Path, runs: int, network: str, layer: str) -> None:
    words = ["invert", str(picture.resolve()), "--network", network, "--layer", layer, "--no-picture"]
    taken = [_run(words) for _ in range(runs)]
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    click.echo(f"{' '.join(words[2:])}; n = {runs}; {describe(torch.device('cpu'))}; load {load:.1f} per processor")
    for row in ROWS:
        seconds = [one[row] for one in taken]
        click.echo(f"{row:14} {statistics.median(seconds):6.1f} s  ({min(seconds):.1f} to {max(seconds):.1f})")


def _run(words: list[str]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "XDG_CACHE_HOME": folder}
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", "import relume"], env=env, cwd=folder, check=True)
        taken, began = {"import relume": time.monotonic() - began}, time.monotonic()
        command = [sys.executable, "-m", "relume.cli.main", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "bufsize": 0}
        with subprocess.Popen(command, env=env, cwd=folder, **pipes) as process:  # type: ignore[call-overload]
            assert process.stdout is not None
            while text := process.stdout.read(65536):
                for row, pattern in (("first bar", BAR), ("first step", STEP)):
                    if pattern.search(text):
                        taken.setdefault(row, time.monotonic() - began)
        if process.returncode:
            raise SystemExit(text.decode(errors="replace"))
        return {**taken, "whole": time.monotonic() - began}


if __name__ == "__main__":
    main()
