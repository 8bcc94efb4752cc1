"""What the pipeline costs: rows as the benchmarks' files have them, from commands that are not run."""

from pathlib import Path

import pytest

from benchmarks import pipeline
from relume.core.files import write_json

KEYS = {"what", "ours", "theirs", "limit", "unit", "ratio", "ratio_lo", "ratio_hi", "n"}


def test_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([300.0, 2.0, 6.0, 1.0, 3.0, 6.0, 1.5, 10.0, 6.0, 9.0])
    monkeypatch.setattr(pipeline, "timed", lambda command, root: next(seconds))
    write_json(tmp_path / pipeline.SECONDS, {"prepare@photos": [20.0, 30.0]})
    rows = {str(row["what"]): row for row in pipeline.measure(tmp_path, whole=True, jobs=2)}
    assert all(set(row) == KEYS for row in rows.values())
    assert (rows["everything stale"]["ours"], rows["everything stale"]["limit"]) == (300.0, 720.0)
    idle = rows["nothing stale"]
    assert (idle["ours"], idle["theirs"], idle["ratio"], idle["n"]) == (3.0, 6.0, 0.5, 3)
    assert (idle["ratio_lo"], idle["ratio_hi"]) == (0.333, 1.667)
    assert rows["dvc status"]["ours"] == 1.5
    assert (rows["prepare@photos"]["ours"], rows["prepare@photos, processor"]["ours"]) == (20.0, 30.0)
