"""`relume` and its doctor: faults as messages, and a true account of what is here and what is lacking."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from relume.cli import main as cli
from relume.core.errors import UserError
from relume.doctor import environment as doctor_environment
from relume.doctor import findings as doctor
from relume.doctor import inputs as doctor_inputs
from relume.doctor import services as doctor_services
from relume.doctor.findings import Finding
from tests.stage_files import change

ROOT = Path(__file__).resolve().parents[1]
VARIABLES = [name for name in os.environ if name.startswith(("MLFLOW_", "RELUME_", "XDG_", "TORCH_", "HF_", "DVC_"))]
FIELDS = {"area", "name", "state", "found", "remedy", "needed", "looked"}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nothing of this machine is seen: not its caches, nor its variables, nor (slow) its torch."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(
        doctor_environment, "PROBE", 'print(\'{"torch": "0", "threads": 1, "cuda": [], "mps": false, "torchvision": "0"}\')'
    )
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def project(alone: Path, default_params: dict) -> Path:
    (alone / "params.yaml").write_text(yaml.safe_dump(default_params))
    (alone / "dvc.yaml").write_text("stages: {}\n")
    (alone / ".dvc").mkdir()
    (alone / ".dvc" / "config").touch()
    for name in ("requirements.lock", "pyproject.toml"):
        (alone / name).write_text((ROOT / name).read_text())
    subprocess.run(["git", "init", "-q"], check=True)
    return alone


def by_name(findings: Iterator[Finding] | list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_help_is_quick():
    code = "import sys, relume.cli.main as c\ntry: c.main(['doctor', '-h'])\nexcept SystemExit: pass\nprint(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "src")
    assert not {"'torch'", "'dvc'", "'mlflow'", "'numpy'", "'pydantic'"} & set(done.stdout.replace(",", " ").split())


def test_a_users_fault_is_a_message_and_no_other_is_hidden():
    group = cli.Group("relume")

    @group.command()
    def fail() -> None:
        raise UserError("x.yaml: key: what is allowed")

    group.command("crash")(lambda: 1 / 0)
    done = CliRunner().invoke(group, ["fail"])
    assert (done.exit_code, done.output) == (1, "x.yaml: key: what is allowed\n")
    assert isinstance(done.exception, SystemExit)
    assert isinstance(CliRunner().invoke(group, ["crash"]).exception, ZeroDivisionError)


def test_track_projects_from_any_subfolder_of_a_project(project, monkeypatch):
    seen: list[Path] = []
    monkeypatch.setattr("relume.tracking.project.project", lambda root: seen.append(root) or "two new")
    (project / "data").mkdir()
    monkeypatch.chdir(project / "data")
    done = CliRunner().invoke(cli.main, ["track"])
    assert (done.exit_code, done.output, seen) == (0, "two new\n", [project])
    monkeypatch.chdir(project.parent)
    assert "dvc.yaml" in CliRunner().invoke(cli.main, ["track"]).output


def test_an_empty_folder_lacks_everything_and_breaks_nothing():
    done = CliRunner().invoke(cli.main, ["doctor"])
    assert done.exit_code == 1
    assert "not checked:" not in done.output.replace("not checked: params.yaml", "")
    for lacking in ("git", "dvc.yaml", ".dvc", "params.yaml", "packages"):
        assert f"lack  {lacking} " in done.output


def test_a_fresh_project_lacks_nothing_that_repro_needs(project):
    done = CliRunner().invoke(cli.main, ["doctor", "--json"])
    assert done.exit_code == 0, done.output
    whole = json.loads(done.stdout)
    assert (whole["root"], whole["ready"]) == (str(project), True)
    assert all(set(finding) == FIELDS and (finding["remedy"] or finding["state"] != "lack") for finding in whole["findings"])
    states = {finding["name"]: finding["state"] for finding in whole["findings"]}
    assert (states["alexnet_conv"], states["photos"]) == ("note", "note"), "not brought and not prepared yet"


def test_a_check_that_breaks_and_parameters_at_fault_are_findings(alone, monkeypatch, project) -> None:
    monkeypatch.setattr(doctor_services, "cache", lambda root: {}["runs"])
    monkeypatch.setattr(doctor_services, "remote", lambda root: import_module("no_such_package"))
    (first,), (second,) = (doctor.guarded("area", "services", name, alone) for name in ("cache", "remote"))
    assert (first.state, first.needed, "KeyError: 'runs'" in first.found) == ("lack", False, True)
    assert (second.needed, second.remedy) == (True, doctor.REINSTALL)
    change("run.sede", 1)
    (finding,) = doctor_environment.parameters(project)
    assert (finding.needed, "run.sede" in finding.found) == (True, True)
    assert by_name(doctor_inputs.weights(project))["alexnet_conv"]  # its own section is sound


def test_it_runs_where_packages_are_missing(project):
    (project / "torch.py").write_text("raise ImportError('no torch')")
    (project / "lib").mkdir()
    (project / "lib" / "click").symlink_to(Path(click.__file__).parent)
    code = "import sys; sys.path[:0] = sys.argv[1:]; from relume.cli.main import main; main(['doctor', '--json'])"
    words = [sys.executable, "-S", "-c", code, str(ROOT / "src"), str(project / "lib")]
    done = subprocess.run(words, capture_output=True, text=True, cwd=project)
    assert done.returncode == 1, done.stderr
    whole = json.loads(done.stdout)
    assert not whole["ready"]
    assert {finding["area"] for finding in whole["findings"]} >= {"environment", "device", "project", "weights", "disk"}


def test_packages_against_the_lock(project):
    lock = project / "requirements.lock"
    lock.write_text(f"numpy==1.0\nno-such-package==2\nclick=={version('click')}\nold==1 ; python_full_version < '3.0'\n")
    found = by_name(doctor_environment.packages(project))
    assert (found["packages missing"].found, found["packages missing"].needed) == ("no-such-package", True)
    assert "(pinned 1.0)" in found["packages differ"].found


@pytest.mark.parametrize(
    ("torch", "torchvision", "name", "text"),
    [
        ("raise ImportError('libcuda is broken')", "", "torch", "libcuda is broken"),
        ("import os; os.abort()", "", "torch", "exit code"),
        ("", "raise RuntimeError('operator torchvision::nms does not exist')", "torchvision", "nms does not exist"),
    ],
)
def test_a_broken_torch(alone, monkeypatch, torch, torchvision, name, text):
    fake = "from types import SimpleNamespace as S\n__version__ = '0'\nget_num_threads = lambda: 1\n"
    fake += "backends = S(mps=S(is_available=lambda: False))\ncuda = S(device_count=lambda: 0)\n"
    (alone / "torch.py").write_text(fake + torch)
    (alone / "torchvision.py").write_text(torchvision)
    monkeypatch.undo()
    found = by_name(doctor_environment.device(alone))
    assert (found[name].state, found[name].needed, text in found[name].found) == ("lack", True, True)


def test_weights(project, monkeypatch, tmp_path):
    folder = project / "models" / "weights" / "alexnet_conv"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()
    for seal, state in ((doctor_inputs.PINS["alexnet_conv"], "ok"), ("0" * 64, "lack")):
        card = {"name": "alexnet_conv", "sha256": seal, "source": {"name": "alexnet.ckpt"}}
        (folder / "model.json").write_text(json.dumps(card))
        assert by_name(doctor_inputs.weights(project))["alexnet_conv"].state == state
    change("weights.networks", ["vgg19"])
    monkeypatch.setenv("RELUME_WEIGHTS", str(tmp_path))
    found = by_name(doctor_inputs.weights(project))
    assert (found["also here"].found, found["vgg19"].state, found["vgg19"].needed) == ("alexnet_conv", "lack", False)
    for place in (tmp_path / "home", tmp_path / "vgg19-"):
        assert any(str(place) in looked for looked in found["vgg19"].looked)
    (tmp_path / "vgg19-dcbb9e9d.pth").touch()
    assert by_name(doctor_inputs.weights(project))["vgg19"].state == "note"


IMAGENET = {"source": "imagenet_val", "pixels": 224, "seed": 0, "test": 50, "val": 0}
CIFAR = {"source": "cifar10", "seed": 0, "val": 100}
FOLDER = {"source": "folder", "pixels": 64, "seed": 0, "path": "mine", "split": "every"}


@pytest.mark.parametrize(("source", "needed"), [(IMAGENET, True), (CIFAR, False), (FOLDER, True)])
def test_datasets_that_are_not_here(project, monkeypatch, tmp_path, source, needed):
    change("prepare.datasets", {"some": source})
    monkeypatch.setenv("RELUME_SOURCES", str(tmp_path))
    (finding,) = doctor_inputs.datasets(project)
    assert (finding.name, finding.state, finding.needed) == ("some", "lack", needed)
    name = finding.looked[0].removeprefix(f"{tmp_path}/").removesuffix(": not found")
    (tmp_path / name).touch()
    (finding,) = doctor_inputs.datasets(project)
    assert (finding.state, str(tmp_path / name) in finding.found) == ("note", True)


def remotes(project: Path, url: str) -> Finding:
    (project / ".dvc" / "config.local").write_text(f"[core]\n    remote = team\n['remote \"team\"']\n    url = {url}\n")
    return by_name(doctor_services.remote(project))["remote team"]


def test_remotes(project, tmp_path, monkeypatch, dead):
    assert remotes(project, str(tmp_path)).state == "ok"
    assert "folder not found" in remotes(project, str(tmp_path / "gone")).found
    gone = remotes(project, f"http://127.0.0.1:{dead}/x")
    assert (gone.state, gone.needed) == ("lack", False)
    for answer, state, told in (
        ("print('full')", "ok", ": answers"),
        ("print('empty')", "ok", "is empty"),
        ("print('absent')", "lack", "bucket is not there"),
        ("raise PermissionError('wrong key')", "lack", "PermissionError: wrong key"),
        ("import time; time.sleep(9)", "lack", "no answer"),
    ):
        monkeypatch.setattr(doctor_services, "ASK", answer)
        monkeypatch.setattr(doctor_services, "LONGEST", 0.5 if "sleep" in answer else 20)
        finding = remotes(project, "s3://bucket/x")
        assert (finding.state, told in finding.found, finding.needed) == (state, True, False)
    monkeypatch.setattr(doctor_services, "ASK", "raise ImportError(\"s3 is supported, but requires 'dvc-s3' to be installed\")")
    assert "PLUGINS=s3" in remotes(project, "s3://bucket/x").remedy


def test_a_remote_is_asked_by_dvcs_own_file_system(project, tmp_path):
    remotes(project, str(tmp_path))
    assert doctor_services.asked(project, "team") == "full"
    remotes(project, str(tmp_path / "new"))
    assert doctor_services.asked(project, "team") == "empty"
    assert "nobody" in doctor_services.asked(project, "nobody")


def test_tracking(project, monkeypatch, dead):
    assert next(doctor_services.tracking(project)).state == "note"
    with sqlite3.connect(project / "mlflow.db") as database:
        database.execute("create table runs (id)")
        database.execute("insert into runs values (1)")
    finding = next(doctor_services.tracking(project))
    assert (finding.state, f"{project}/mlflow.db: 1 runs" in finding.found) == ("ok", True)
    (project / "mlflow.db").write_bytes(b"no database, but long enough to be taken for one" * 100)
    assert next(doctor_services.tracking(project)).state == "lack"
    for address in ("file:///x", f"http://127.0.0.1:{dead}"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        assert next(doctor_services.tracking(project)).state == "lack"
    monkeypatch.setattr("relume.tracking.store.check_health", lambda uri, timeout: None)  # tested in test_tracking.py
    assert next(doctor_services.tracking(project)).state == "ok"


@pytest.mark.slow
def test_stale_stages_are_asked_for(project, monkeypatch):
    (project / "dvc.yaml").write_text("stages: {one: {cmd: 'true', deps: [params.yaml]}}\n")
    found = doctor.examine(project, stale=True)
    assert by_name(found)["stale stages"].found == "one"
    assert os.getcwd() == str(project)
