"""MLflow as a projection of files: complete, idempotent, raced for, and never in the way."""

import contextlib
import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from relume.core.errors import UserError
from relume.core.files import read_csv, write_csv, write_json
from relume.tracking import project as tracking
from relume.tracking.live import live
from relume.tracking.records import headline, model_records, records
from relume.tracking.store import EXPERIMENT, Store
from tests.contract_files import GROUPS, write

ROOT = Path(__file__).resolve().parents[1]
pytest.importorskip("mlflow", reason="mlflow is not installed")


def project_files(root: Path, **options: float) -> Path:
    write(root, **options)
    params = {"compare": {"groups": list(GROUPS), "level": 0.95}, "losses": {"tv": 0.05}}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    return root


SWITCHES = ("RELUME_TRACKING", "MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_EXP_NAME")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = project_files(tmp_path_factory.mktemp("tracking"))
    with pytest.MonkeyPatch.context() as patch:
        for name in SWITCHES:
            patch.delenv(name, raising=False)
        assert len(tracking.project(root).written) == 4
    return root


@pytest.fixture(autouse=True)
def switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SWITCHES:
        monkeypatch.delenv(name, raising=False)


def ask(root: Path, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(root / "mlflow.db") as database:
        return database.execute(query).fetchall()


def runs(root: Path) -> list[str]:
    return sorted(str(name).partition(" (")[0] for (name,) in ask(root, "select name from runs where lifecycle_stage = 'active'"))


def row_of(root: Path, name: str, table: str = "params") -> dict[str, Any]:
    query = f"select t.key, t.value from runs r join {table} t using (run_uuid) where r.name like '{name}%' order by start_time"
    return dict(ask(root, query))  # type: ignore[arg-type]


def variant(monkeypatch: pytest.MonkeyPatch, root: Path, name: str, **options: float) -> Path:
    monkeypatch.setenv("DVC_ROOT", str(root))
    monkeypatch.setenv("DVC_EXP_NAME", name)
    return project_files(root / name, **options)


@pytest.mark.slow
def test_three_processes_at_once_write_every_run_once(tmp_path: Path) -> None:
    project_files(tmp_path)
    start = multiprocessing.get_context("forkserver")
    start.set_forkserver_preload(["mlflow.tracking"])  # imported once for all three
    with ProcessPoolExecutor(3, mp_context=start) as racers:
        tallies = list(racers.map(tracking.project, [tmp_path] * 3))
    assert sorted(len(tally.written) for tally in tallies) == [0, 0, 4]
    assert len(runs(tmp_path)) == len(set(runs(tmp_path))) == 4


def test_one_parent_and_a_run_per_group_with_all_that_is_told_and_nothing_twice(root: Path) -> None:
    (parent,) = set(runs(root)) - set(GROUPS)
    assert runs(root) == sorted([parent, *GROUPS])
    assert ask(root, "select count(*) from tags where key = 'mlflow.parentRunId'") == [(3,)]
    assert row_of(root, parent)["losses.tv"] == "0.05"
    assert "photos_128/deep/psnr" in row_of(root, parent, "latest_metrics")
    assert tracking.project(root).written == []
    assert len(runs(root)) == 4
    ((artifacts,),) = ask(root, "select artifact_uri from runs where name like 'deep%'")
    (board,) = [row for row in read_csv(root / "metrics/leaderboard.csv") if row["method"] == "deep"]
    assert row_of(root, "deep", "latest_metrics")["psnr"] == pytest.approx(float(board["psnr"]), rel=1e-5)
    steps = "select count(*) from metrics join runs using (run_uuid) where name like 'deep%' and key = 'trace/feature'"
    assert ask(root, steps) == [(31,)]
    params = row_of(root, "deep")
    assert (params["optimiser.kind"], params["losses.tv"]) == ("adam", "0.05")
    folder = Path(str(artifacts).removeprefix("file://"))
    assert (folder / "pictures.png").stat().st_size > 100
    assert folder.is_relative_to(root / "mlartifacts")


def test_results_and_models_pulled_from_a_cache_show_up_under_their_own_variant(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled = variant(monkeypatch, root, "rough-sand", strength=1.5)
    assert tracking.project(pulled).written == ["shallow", "deep", "headline"], "floors are the same"
    assert tracking.project(pulled).written == []
    assert not (pulled / "mlflow.db").exists()
    assert "rough-sand" in runs(root)
    # pretrained weights are no results; new training, new run
    pulled = variant(monkeypatch, root, "trained")
    model(pulled)
    model(pulled, "alexnet", kind="weights")
    assert tracking.project(pulled).written == ["decoder/deep"]
    assert tracking.project(pulled).written == []
    ((run, artifacts),) = ask(root, "select run_uuid, artifact_uri from runs where name = 'decoder/deep'")
    found = ask(root, f"select key, step, value from metrics where run_uuid = '{run}' order by key, step")
    curves = [("learning_rate", 10, 0.001), ("train/loss", 10, 0.5), ("val/loss", 10, 0.4), ("val/loss", 20, 0.1)]
    assert found == [("best/loss", 0, 0.1), ("best/psnr", 0, 12.5), *curves]
    told = {"training.steps": "20", "parameters": "7", "kind": "decoder", "name": "deep", "sha256": "0.1", "best_step": "20"}
    assert row_of(root, "decoder/deep") == told
    assert {path.name for path in Path(str(artifacts).removeprefix("file://")).iterdir()} == {"progress.png", "samples.png"}
    model(pulled, loss=0.05)
    assert tracking.project(pulled).written == ["decoder/deep"]


def model(root: Path, name: str = "deep", *, kind: str = "decoder", loss: float = 0.1) -> None:
    folder = root / "models" / kind / name
    history = [("train/loss", 10, 0.5), ("val/loss", 10, 0.4), ("learning_rate", 10, 1e-3), ("val/loss", 20, loss)]
    rows = [{"step": step, "term": term, "value": value} for term, step, value in history]
    write_csv(folder / "history.csv", ("step", "term", "value"), rows)
    about = {"kind": kind, "name": name, "parameters": 7, "sha256": f"{loss}", "device": "cpu", "best_step": 20}
    write_json(folder / "model.json", about | {"config": {"training": {"steps": 20}}, "metrics": {"loss": loss, "psnr": 12.5}})
    for file in ("progress.jpg", "samples.png"):
        Image.new("RGB", (8, 6), "red").save(folder / file)


def test_dvc_knows_who_made_what_and_other_scores_are_not_taken(tmp_path: Path) -> None:
    project_files(tmp_path)
    model(tmp_path)
    outs = {"train_decoder": "models/decoder", "evaluate": "metrics/methods", "invert_optimise": "data/reconstructions"}
    stages: dict[str, Any] = {f"{name}@deep": {"outs": [{"path": f"{folder}/deep"}]} for name, folder in outs.items()}
    stages["evaluate@deep"] = {"outs": [{"path": "metrics/methods/deep.csv"}]}
    stages["evaluate@deep"]["deps"] = [{"path": "data/reconstructions/deep", "md5": "0" * 32}]
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": stages}))
    (found,) = model_records(tmp_path)
    assert (found.name, found.stage, found.device) == ("decoder/deep", "train_decoder@deep", "cpu")
    (deep,) = [one for one in records(tmp_path) if one.name == "deep"]
    assert (deep.measured, deep.stage) == ("", "invert_optimise@deep"), "other pictures were scored"
    (tmp_path / "dvc.lock").unlink()
    (deep,) = [one for one in records(tmp_path) if one.name == "deep"]
    assert deep.measured
    index = tmp_path / "data/reconstructions/deep/index.csv"
    rows = read_csv(index)
    write_csv(index, tuple(rows[0]), [{**row, "objective": "0.5"} for row in rows])
    found = records(tmp_path)
    (changed,) = [one for one in found if one.name == "deep"]
    assert (changed.measured, changed.means) == ("", {})
    assert changed.key != deep.key
    assert headline(tmp_path, found) == {}


def test_a_stage_writes_what_it_has_made_and_what_is_measured_later_is_added(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    early = variant(monkeypatch, root, "early", strength=2.0)
    model(early, "far", loss=0.7)
    scores = early / "metrics/methods/deep.csv"
    scores.rename(early / "later.csv")
    assert tracking.project(early, item="deep").written == ["deep"]
    assert tracking.project(early, item="far").written == ["decoder/far"]
    (early / "later.csv").rename(scores)
    assert tracking.project(early).written == ["shallow", "deep", "headline"]
    (run,) = ask(root, "select run_uuid from runs where name like 'deep%' order by start_time desc limit 1")
    assert ask(root, f"select count(*) from latest_metrics where run_uuid = '{run[0]}' and key = 'psnr'") == [(1,)]


def test_a_copied_project_keeps_its_pictures_to_itself(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    ours = ask(root, "select artifact_uri from runs order by run_uuid")
    Store(copy)
    assert ask(copy, f"select artifact_location from experiments where name = '{EXPERIMENT}'") == [(f"{copy}/mlartifacts",)]
    moved = ask(copy, "select artifact_uri from runs order by run_uuid")
    assert moved == [(str(uri).replace(str(root), str(copy)),) for (uri,) in ours]
    assert any(Path(str(uri)).is_dir() for (uri,) in moved)
    assert ask(root, "select artifact_uri from runs order by run_uuid") == ours


def test_cheap_stages_do_not_import_mlflow() -> None:
    run = "import sys; from relume.tracking.project import after_stage; after_stage('prepare', 'x')"
    code = f"{run}; sys.exit('mlflow' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


@pytest.mark.parametrize(("name", "value"), [("RELUME_TRACKING", "off"), ("RANK", "1")])
def test_switched_off_and_of_several_processes_one_writes(tmp_path, monkeypatch, name, value) -> None:
    project_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, value)
    tracking.after_stage("compare", "")
    assert not (tmp_path / "mlflow.db").exists()


@pytest.fixture(params=["dead", "alive", "hangs", "fails"])
def bad(request: pytest.FixtureRequest) -> Iterator[int]:
    """Nobody there; never says a word; well when asked, but hangs at work, or says 500."""
    if request.param in ("dead", "alive"):
        yield request.getfixturevalue(request.param)
        return
    woken = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if request.param == "hangs" and self.path != "/health":
                woken.wait(30)
            self.send_response(200 if self.path == "/health" else 500)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        yield server.server_port
        woken.set()
        server.shutdown()


def test_a_bad_server_costs_seconds_and_one_line(bad, root, monkeypatch, capsys) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{bad}")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    start = time.monotonic()
    tracking.after_stage("compare", "")
    assert time.monotonic() - start < 10
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize(("fault", "told"), [("locked", "locked"), ("read-only", "read-only"), ("damaged", "database")])
def test_a_bad_database_costs_seconds_and_one_line(root: Path, monkeypatch, capsys, tmp_path, fault, told) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes((root / "mlflow.db").read_bytes() if fault != "damaged" else b"no database" * 1000)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
    monkeypatch.chdir(root)
    if fault == "read-only":
        monkeypatch.setattr(os, "access", lambda place, mode: place != path)  # root may write anything
    with contextlib.closing(sqlite3.connect(path)) as other:
        if fault == "locked":
            other.execute("begin exclusive")
        since = time.monotonic()
        tracking.after_stage("compare", "")
        assert time.monotonic() - since < 4
    (line,) = capsys.readouterr().err.splitlines()
    assert str(path) in line
    assert told in line


def test_what_was_cut_off_makes_way_for_another_try(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pulled = variant(monkeypatch, root, "cut", strength=3.0)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "picture", fail)
        with pytest.raises(OSError, match="cable"):
            tracking.project(pulled, item="deep")
    cut = ask(root, "select run_uuid from runs where lifecycle_stage = 'active' and status = 'RUNNING' and name like 'deep%'")
    assert len(cut) == 1
    assert tracking.project(pulled, item="deep").written == ["deep"]
    assert tracking.project(pulled, item="deep").known == ["deep"]
    assert ask(root, f"select lifecycle_stage from runs where run_uuid = '{cut[0][0]}'") == [("deleted",)]


def fail(*_: object, **__: object) -> None:
    raise OSError("somebody fell over the cable")


def test_the_command_says_what_is_wrong(root: Path, dead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{dead}")
    with pytest.raises(UserError, match="does not respond"):
        tracking.project(root)


def test_live_shows_a_loop_below_its_variant_and_goes_when_it_ended_well(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "watched")
    with live("loop", {"steps": {"few": 3}}, root=root, delay=0, every=0.1) as log:
        for step in range(3):
            log.log(step, {"objective": 1.0 / (step + 1)}, np.zeros((4, 4, 3), np.uint8))
        wait_for(lambda: ask(root, "select count(*) from metrics where key = 'objective'") == [(3,)])
        wait_for(lambda: row_of(root, "loop") == {"steps.few": "3"})
        ((parent,),) = ask(root, "select run_uuid from runs where name = 'watched'")
        assert row_of(root, "loop", "tags")["mlflow.parentRunId"] == parent
    assert "loop" not in runs(root)


def test_live_leaves_what_failed_and_is_silent_in_a_short_loop(root: Path) -> None:
    def explode() -> None:
        with live("broken", {}, root=root, delay=0, every=0.1) as log:
            log.log(0, {"loss": 1.0})
            wait_for(lambda: "broken" in runs(root))
            raise FloatingPointError

    with pytest.raises(FloatingPointError):
        explode()
    assert ask(root, "select status from runs where name = 'broken'") == [("FAILED",)]
    before = ask(root, "select count(*) from runs")
    with live("short", {}, root=root) as log:
        log.log(0, {"loss": 1.0})
    assert ask(root, "select count(*) from runs") == before


def test_a_live_run_left_behind_goes_when_its_stage_is_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server was gone when the loop ended, or the process was killed; another stage's stays."""
    pulled = variant(monkeypatch, root, "left", strength=3.5)
    stages = {"invert_optimise@deep": {"outs": [{"path": "data/reconstructions/deep"}]}}
    (pulled / "dvc.lock").write_text(yaml.safe_dump({"stages": stages}))
    with monkeypatch.context() as patch:
        patch.setattr(Store, "delete", fail)
        for name in ("invert_optimise@deep", "train_gan@style"):
            with live(name, {}, root=pulled, delay=0, every=0.05) as log:
                log.log(0, {"loss": 1.0})
                wait_for(lambda name=name: name in runs(root))  # type: ignore[misc]
    assert {"invert_optimise@deep", "train_gan@style"} <= set(runs(root))
    tracking.project(pulled)
    assert "invert_optimise@deep" not in runs(root)
    assert "train_gan@style" in runs(root)


def test_live_never_slows_the_loop(root: Path, alive: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{alive}")
    with live("slow", {}, root=root, delay=0, every=0.1) as log:
        start = time.monotonic()
        for step in range(20_000):
            log.log(step, {"loss": 0.0})
        assert time.monotonic() - start < 2


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)
