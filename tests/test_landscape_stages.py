"""The stage `invert_landscape` on toy files: rows of every method, curves, faults by name."""

from pathlib import Path

import numpy as np
import pytest

from relume.core.files import read_csv
from relume.core.results import read_group
from relume.evaluation.curves import CURVES
from stages import invert_landscape, train_landscape, train_mapper
from tests import landscape_files as files
from tests.decoder_files import training
from tests.latent_files import GENERATOR, mapper_section, write_gan
from tests.stage_files import project, succeed

GROUP = {"images.npy", "index.csv", "path.npy", "path.csv", "trace.csv", "curves.csv", "timing.csv", "method.json"}
FROM_MAPPER = {
    name: {"start": "mapper", "theta": theta, "steps": 1, "learning_rate": 0.1, "betas": [0.9, 0.999]}
    for name, theta in {"plain_mapper": False, "landscape_mapper": True}.items()
}
MODELS = {"weights": "models/weights", "generator": GENERATOR}
OPTIONS = MODELS | {"group": "pictures", "landscape": "models/landscape/toy", "mapper": "models/mapper/toy_mapper", "out": "out"}


@pytest.fixture(autouse=True)
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_gan(tmp_path / GENERATOR)
    own = files.group(generator=GENERATOR, mapper=OPTIONS["mapper"])
    sections = {
        "train_mapper": mapper_section(training=training(steps=2)),
        "train_landscape": {"shared": files.shared(losses=files.PLAIN_LOSS), "models": {"toy": {"generator": GENERATOR}}},
        "invert_landscape": {"pictures": own | {"methods": own["methods"] | FROM_MAPPER}},
        "compare": {"level": 0.95, "resamples": 50},
    }
    return project(tmp_path, monkeypatch, sections)


def test_from_training_to_a_group(toy: Path) -> None:
    succeed(train_mapper, **MODELS, model="toy_mapper", out=OPTIONS["mapper"], timing="mapper.csv")
    succeed(train_landscape, **MODELS, model="toy", out=OPTIONS["landscape"], timing="landscape.csv")
    succeed(invert_landscape, **OPTIONS)
    group = read_group(Path("out"))
    assert {path.name for path in group.folder.iterdir()} == GROUP
    rows = [(row["method"], row["family"], row["restart"]) for row in group.index[::3]]
    assert rows == [
        *(("plain", "latent", seed) for seed in "01"),
        *(("landscape", "landscape", seed) for seed in "01"),
        ("plain_mapper", "latent", "0"),
        ("landscape_mapper", "landscape", "0"),
    ]
    assert {(row["task"], row["oracle"], row["network"], row["size"]) for row in group.index} == {("image", "false", "", "64")}
    assert len([row for row in group.index if row["selected"] == "true"]) == 4 * 3
    curves = read_csv(group.folder / "curves.csv")
    assert tuple(curves[0]) == CURVES
    last = [float(row["value"]) for row in curves if (row["method"], row["seed"], row["step"]) == ("plain", "", "4")]
    assert last == pytest.approx([np.mean([float(row["objective"]) for row in group.index[:6]])], rel=1e-5)
    assert [row["step"] for row in group.timing if row["method"] == "landscape"] == ["0", "1", "2"]
    assert not list(toy.glob(".dvc/tmp/resume/*")), "nothing is left in the scratch"
