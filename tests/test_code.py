"""Which code a stage runs: what is imported counts, what is said of it does not."""

from pathlib import Path

import pytest

from relume.core.code import closure, digest_of, files_of, write_stages
from relume.core.files import read_json

TREE = {
    "stages/__init__.py": "import sys\n",
    "stages/first.py": '"""First."""\nfrom relume.a import f\nf()\n',
    "stages/second.py": "from relume.page import draw\n",
    "src/relume/__init__.py": "",
    "src/relume/a.py": '"""A."""\nfrom relume.pack import b\n\ndef f():\n    """Say."""\n    return b.g() + 1\n',
    "src/relume/pack/__init__.py": "",
    "src/relume/pack/b.py": "import os\n\ndef g():\n    from relume import late\n    return 2  # two\n",
    "src/relume/late.py": "y = 1\n",
    "src/relume/apart.py": "x = 1\n",
    "src/relume/page.py": 'from pathlib import Path\nHERE = Path(__file__).parent / "templates"\n',
    "src/relume/templates/page.html.j2": "<p>one</p>\n",
}


def tree(folder: Path, **changes: str) -> Path:
    for name, text in {**TREE, **changes}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def digests(folder: Path, **changes: str) -> dict[str, str]:
    """Stage -> digest, each time in a folder of its own: what was read once is remembered."""
    root = tree(folder / str(len(list(folder.iterdir()))), **changes)
    return {name: digest_of([f"stages.{name}"], root) for name in ("first", "second")}


def test_files_are_those_that_imports_reach(tmp_path: Path) -> None:
    root = tree(tmp_path)
    assert write_stages(tmp_path / "code", root) == ["first", "second"]
    reached = ["src/relume/a.py", "src/relume/late.py", "src/relume/pack/b.py", "stages/__init__.py", "stages/first.py"]
    assert list(read_json(tmp_path / "code/first.json")) == reached
    assert "src/relume/templates/page.html.j2" in read_json(tmp_path / "code/second.json")


@pytest.mark.parametrize(
    ("file", "old", "new", "stale"),
    [
        ("src/relume/a.py", "A.", "Another.", set()),  # a module's docstring
        ("src/relume/a.py", "Say.", "Tell.", set()),  # a function's
        ("src/relume/pack/b.py", "two", "deux", set()),  # a comment
        ("src/relume/apart.py", "1", "2", set()),  # a module that no stage imports
        ("src/relume/pack/b.py", "return 2", "return 3", {"first"}),
        ("src/relume/late.py", "1", "2", {"first"}),  # imported inside a function
        ("src/relume/templates/page.html.j2", "one", "two", {"second"}),
        ("stages/__init__.py", "sys", "os", {"first", "second"}),
    ],
)
def test_a_stage_is_stale_when_code_that_it_runs_changes(tmp_path: Path, file: str, old: str, new: str, stale: set[str]) -> None:
    before, after = digests(tmp_path), digests(tmp_path, **{file: TREE[file].replace(old, new)})
    assert {name for name in before if before[name] != after[name]} == stale


def test_relative_imports_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match="absolute"):
        files_of(["stages.first"], tree(tmp_path, **{"src/relume/a.py": "from . import pack\n"}))


def test_this_tree() -> None:
    decoder, masked = closure(["stages.train_decoder"]), closure(["stages.train_masked"])
    assert {"relume.training.loop", "relume.methods.decoder.multi_scale"} <= decoder
    assert not any(name.startswith("relume.methods.masked") for name in decoder)
    assert not any(name.startswith(("relume.evaluation.", "relume.report.", "relume.tracking")) for name in masked)
