"""`import_gan` on self-made files: read like a trained generator, equal bytes, faults."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from PIL import Image

from relume.cli.main import main
from relume.core.files import read_json, sha256
from relume.methods.gan import import_gan as importing
from relume.methods.gan.config import ExternalGan
from relume.methods.gan.model import read_gan
from relume.tracking.records import model_records
from stages import import_gan
from tests.decoder_files import CPU
from tests.style_gan1_files import saved, steps

WIDTHS = [4, 4, 3]
FILE = "outer.model"


def entry(**differences: Any) -> dict[str, Any]:
    return {"kind": "stylegan", "source": FILE, "sha256": sha256(Path(FILE)), "pixels": 16} | differences


def write(**differences: Any) -> None:
    Path("params.yaml").write_text(yaml.safe_dump({"import_gan": {"models": {"outer": entry(**differences)}}}))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a file and parameters that name it."""
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_STAGE", "RELUME_WEIGHTS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("relume.params.check", lambda whole: whole)
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"import_gan": {"deps": []}}}))
    saved(Path(FILE), {"g_running": steps(WIDTHS, fused=2)})
    write()
    return tmp_path


def imported(out: str = "models/gan/outer") -> Result:
    return CliRunner().invoke(import_gan.main, ["--model", "outer", "--out", out])


def test_imported_generator_is_read_like_a_trained_one(project: Path) -> None:
    done = imported()
    assert done.exit_code == 0, done.output
    assert "outer" in done.output
    found = read_gan(project / "models/gan/outer", CPU)
    assert (found.name, found.dataset, found.generator.size) == ("outer", "external", 16)
    assert not found.generator.training
    assert not any(weights.requires_grad for weights in found.generator.parameters())
    card = read_json(project / "models/gan/outer/model.json")
    assert {"code", "params", "sha256", "parameters"} <= set(card)
    assert card["config"]["file_sha256"] == sha256(Path(FILE))
    assert np.asarray(Image.open("models/gan/outer/samples.png")).std() > 10
    done = CliRunner().invoke(main, ["sample", "models/gan/outer", "--mix", "--rows", "1", "--columns", "2", "--no-picture"])
    assert done.exit_code == 0, done.output
    (record,) = model_records(project)
    assert (record.name, record.curves, record.means) == ("gan/outer", [], {})


def test_equal_bytes(project: Path) -> None:
    imported()
    imported("again/outer")
    for path in (project / "models/gan/outer").iterdir():
        assert path.read_bytes() == (project / "again/outer" / path.name).read_bytes(), path.name
    (project / "elsewhere").mkdir()
    shutil.move(FILE, project / "elsewhere")
    found = importing.locate("outer", ExternalGan(**{**params(), "source": str(project / "elsewhere" / FILE)}))
    config = ExternalGan(**params())
    architecture, made = importing.external(found, config)
    before = read_gan(project / "models/gan/outer", CPU).generator.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    assert importing.card("outer", config, architecture, made)["parameters"] == sum(p.numel() for p in made.parameters())


def params() -> dict[str, Any]:
    whole = yaml.safe_load(Path("params.yaml").read_text())
    found: dict[str, Any] = whole["import_gan"]["models"]["outer"]
    return found


def test_files_in_the_weights_folders(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "kept").mkdir()
    shutil.move(FILE, project / "kept")
    address = {**params(), "source": f"https://example.invalid/weights/{FILE}?download=1"}
    monkeypatch.setenv("RELUME_WEIGHTS", f"{project / 'nowhere'}:{project / 'kept'}")
    for stated in (params(), address):
        assert importing.locate("outer", ExternalGan(**stated)) == project / "kept" / FILE


def test_url_is_fetched_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []

    def fetch(url: str, path: Path, *, sha256: str | None = None, describe: str = "") -> Path:
        asked.append((url, sha256))
        return path

    monkeypatch.setattr(importing, "fetch", fetch)
    config = ExternalGan(**{**params(), "source": "https://example.invalid/x.pt"})
    path = importing.locate("outer", config)
    assert path == project / "home/.cache/relume/gan" / config.sha256[:16] / "x.pt"
    assert asked == [("https://example.invalid/x.pt", config.sha256)]


def test_wrong_hash_and_missing_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was read"))
    write(sha256=hashlib.sha256(b"another").hexdigest())
    done = imported()
    assert done.exit_code == 1
    assert "outer.model" in done.output
    write(source="lost.pt", sha256=64 * "0")
    done = imported()
    assert done.exit_code == 1
    assert "import_gan.models.outer.source: " in done.output
    assert not (project / "models").exists()


def test_invalid_file_leaves_no_output(project: Path) -> None:
    write(pixels=32)
    done = imported()
    assert done.exit_code == 1
    assert "generator.progression.3.conv1.0.weight is missing" in done.output
    assert not (project / "models").exists()
