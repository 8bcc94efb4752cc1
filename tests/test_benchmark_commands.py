"""Benchmarks that run no study of methods, on toys: each command writes its table."""

from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from benchmarks import embeddings, floors, latent, maps
from relume.core.files import read_csv
from relume.core.images import save_png
from relume.evaluation.comparison import COMPARISONS, LEADERBOARD
from relume.evaluation.maps_table import columns
from tests import latent_files, stage_files
from tests.decoder_files import dataset, training
from tests.evaluation_files import row, write_dataset, write_reconstructions
from tests.maps_files import write_decoder

KNOWN = {"count": 3, "restarts": 2, "steps": 30, "rate": 0.05, "spaces": ["w"]}
MAPPER = {"network": "alexnet_conv", "taps": ["conv3"], "architecture": {"width": 8, "depth": 1, "grid": 2}}
MAPPER |= {"training": training(steps=4, log_every=2, validate_every=2)}
STARTS = {"steps": 6, "rates": [1.0e-6, 0.05], "validation": 2, "test": 3}
STUDY = {"run": {"device": "cpu", "micro_batch": 4}, "known": KNOWN, "mapper": MAPPER, "starts": STARTS}
NETWORKS = ["--network", "alexnet_conv", "--network", "efficientnet_lite0"]
SETS = ["--group", "groups/s0", "--images", "data/images/toy"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("main", "words", "head"),
    [
        (
            floors.main,
            ["--folder", "noise", "--size", "32", "--blocks", "4", "--metrics", "psnr", "--device", "cpu"],
            LEADERBOARD,
        ),
        (embeddings.main, ["--folder", "noise", "--size", "32", "--device", "cpu", *NETWORKS, *SETS], COMPARISONS),
        (maps.main, ["--folder", "photos/toy", "--work", "."], columns(("psnr",))),
        (latent.main, ["--images", "w/toy", "--generator", "gan", "--study", "toys.yaml", "--work", "work"], COMPARISONS),
    ],
    ids=["floors", "embeddings", "maps", "latent"],
)
def test_a_command_writes_its_table(main: click.Command, words: list[str], head: Any, tmp_path, monkeypatch, default_params):
    stage_files.project(tmp_path, monkeypatch, {}, data=(data := dataset(tmp_path / "data/images")))
    default_params["run"].update(device="cpu", micro_batch=3)
    default_params["maps"].update(pictures=2, probes=1, groups=2, shown=1, metrics=["psnr"])
    stage_files.write_params(default_params)
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (10, 60, 50, 3), dtype=np.uint8)):
        save_png(Path(f"noise/any/{number}.png"), pixels)
    rows = [row("s0", f"test{n}", size=64, restart=k, selected=k == 0) for n in range(3) for k in range(2)]
    write_reconstructions(Path("groups/s0"), rows, np.repeat(data.images[:3], 2, 0))
    write_decoder(Path("models/decoder/deep"), dataset(Path("images")), ["conv5"])
    write_dataset(Path("w/toy"), size=latent_files.SIZE)
    latent_files.write_gan(Path("gan"))
    Path("toys.yaml").write_text(yaml.safe_dump(STUDY))
    for _ in range(2):  # the second takes up what the first has trained
        done = CliRunner().invoke(main, [*words, "--out", "out/table.csv"])
        assert done.exit_code == 0, done.output
    assert tuple(read_csv(Path("out/table.csv"))[0]) == head
    assert Path("out/table.json").exists()
