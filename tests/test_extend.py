"""docs/howto/extend.md: what a third party's package adds by entry points is found, used and told apart from a wrong name."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import relume
from relume.core import registry
from relume.core.errors import UserError
from tests.test_readme import ROOT, blocks

PAGE = ROOT / "docs/howto/extend.md"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """`my_package` of the page, as pip would install it, and a family beside it."""
    module, _ = blocks(PAGE, "py")
    (tmp_path / "my_package.py").write_text(module)
    (tmp_path / "my_family.py").write_text(
        "from relume.methods.family import Family\nFAMILY = Family(name='mine', checks=False, sections=())\n"
    )
    groups = tomllib.loads(blocks(PAGE, "toml")[0])["project"]["entry-points"] | {"relume.families": {"mine": "my_family:FAMILY"}}
    lines = [f"[{group}]\n" + "\n".join(f"{key} = {value}" for key, value in points.items()) for group, points in groups.items()]
    about = tmp_path / "my_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my_package\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    registry.plugins.cache_clear()
    yield tmp_path
    registry.plugins.cache_clear()
    sys.modules.pop("my_package", None)


def test_a_package_adds_one_of_each(package: Path) -> None:
    module, use = blocks(PAGE, "py")
    assert max(len(part.splitlines()) for part in re.split(r"\n\n\n", module)) < 30
    found: dict[str, Any] = {}
    exec(use, found)
    made = found["result"]
    assert made.images.shape == (4, 3, 32, 32)
    assert torch.equal(made.images[:, 0], made.images[:, 2])  # its parametrisation
    assert "saturation" in {row["term"] for row in made.trace}
    assert made.settings["network"] == "Sequential"
    by_hand = (made.images - made.originals).abs().flatten(1).mean(1)
    assert found["scores"].loc["inversion"].mean_error.tolist() == pytest.approx(by_hand.tolist())


def test_a_view_is_what_the_network_sees(package: Path) -> None:
    options: dict[str, Any] = {"layer": "2", "images": "stripes", "size": 32, "steps": 30, "progress": False}
    options["losses"] = {"guide": 0.0}
    plain = relume.invert("my_package:tiny", weights="random", **options)
    transforms = [{"kind": "own", "name": "my_package:erased", "options": {"share": 0.9}}]
    hidden = relume.invert("my_package:tiny", weights="random", settings={"views": {"transforms": transforms}}, **options)
    assert sum(hidden.feature_error) > 1.5 * sum(plain.feature_error)


def test_a_family_of_a_package_joins_the_registry(package: Path) -> None:
    code = "from relume.methods.registry import FAMILIES; print([family.name for family in FAMILIES][-2:])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['diffusion', 'mine']"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"losses": {"my_package:saturatoin": 1.0}}, "losses.*near: saturation"),
        ({"settings": {"parametrisation": {"kind": "own", "name": "gray"}}}, "parametrisations.*'grey'"),
        ({"settings": {"parametrisation": {"kind": "own", "name": "my_package:tiny"}}}, "parametrisation.name.*my_package:tiny"),
        ({"settings": {"views": {"transforms": [{"kind": "own", "name": "nowhere:one"}]}}}, "views.*'nowhere'"),
    ],
)
def test_faults_name_the_kind_and_what_there_is(
    package: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], told: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(package))
    with pytest.raises(UserError, match=told):
        relume.invert("tiny", layer="0", images="stripes", size=32, steps=2, progress=False, **options)
