"""Rules of the architecture: import directions, one list of families, `dvc.yaml` names the code of each stage."""

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from relume.core.code import _imported as imported
from relume.methods.registry import FAMILIES

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src"
BELOW = {"core", "data", "networks", "losses"}
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "data": {"core"},
    "networks": {"core", "data"},
    "losses": {"core"},
    "training": BELOW,
    "methods": BELOW | {"training"},
    "evaluation": BELOW,
    "report": {"core"},
    "tracking": {"core"},
}
ALSO = {  # a family's part of the report, and the modules that collect the parts
    "methods": ("report.py", {"report"}),
    "report": ("families.py", {"methods"}),
    "tracking": ("names.py", {"methods", "report"}),
}


def imports(path: Path) -> set[tuple[str, ...]]:
    return {tuple(name.split(".")[1:]) for name in imported(path) if name.startswith("relume.")}


def stages() -> dict[str, dict[str, Any]]:
    return {name: stage.get("do", stage) for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items()}


def script(stage: dict[str, Any]) -> Path:
    return ROOT / (stage["cmd"].split("-m ")[1].split()[0].replace(".", "/") + ".py")


@pytest.mark.parametrize("name", sorted(MAY_IMPORT))
def test_layers_import_downwards(name: str) -> None:
    for module in (SRC / "relume" / name).rglob("*.py"):
        file, also = ALSO.get(name, ("", set()))
        allowed = MAY_IMPORT[name] | {name} | (also if module.name == file else set())
        assert {other[0] for other in imports(module)} <= allowed, module


def test_families_are_registered() -> None:
    folders = {path.parent.name for path in (SRC / "relume/methods").glob("*/__init__.py")}
    assert folders == {family.name for family in FAMILIES}
    assert len(FAMILIES) == len(folders)
    for family in FAMILIES:
        for name in ("checks", "report"):
            assert getattr(family, name) == (SRC / f"relume/methods/{family.name}/{name}.py").exists(), family.name
    kinds = {f"models/{family.kind}" for family in FAMILIES if family.kind}
    assert kinds <= set(stages()["report"]["deps"])


def families(path: Path) -> set[str]:
    """The families that a module imports or names: by name, by kind of models, by a section of parameters."""
    signs = {sign: family.name for family in FAMILIES for sign in (family.name, family.kind, f"models/{family.kind}") if sign}
    signs |= {section.key: family.name for family in FAMILIES for section in family.sections}
    tree = ast.parse(path.read_text())
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in said]
    named = {signs[text.partition(".")[0]] for text in texts if isinstance(text, str) and text.partition(".")[0] in signs}
    written = path.read_text()  # names filled into import_module do not count
    return named | {
        other[1] for other in imports(path) if other[0] == "methods" and len(other) > 2 and f"methods.{other[1]}." in written
    }


def test_only_the_registry_lists_families() -> None:
    """A module that names most families would need an edit for a new one."""
    modules = [path for path in SRC.rglob("*.py") if SRC / "relume/methods" not in path.parents]
    knows = {path: families(path) for path in [*modules, *(ROOT / "stages").glob("*.py")]}
    assert {path: known for path, known in knows.items() if len(known) >= len(FAMILIES) - 2} == {}
    assert len(families(SRC / "relume/methods/optimise/checks.py")) > 1


def test_stage_script_section_and_code_names() -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"}
    assert scripts == set(stages())
    scripts -= {"code"}  # has no parameters
    assert scripts <= set(params)
    assert set(params) - scripts == {"dataset", "run", "losses", "networks", "recipes"}
    for name, stage in stages().items():
        code = [dep for dep in stage["deps"] if dep.startswith(("code/", "src", "stages"))]
        assert code == (["src", "stages"] if name == "code" else [f"code/{script(stage).stem}.json"]), name


def test_commands_name_their_dependencies() -> None:
    for name, stage in stages().items():
        options = stage["cmd"].split("--")[1:]
        paths = [parts[1] for parts in (option.split() for option in options) if len(parts) > 1 and "/" in parts[1]]
        known = [
            key if isinstance(key, str) else next(iter(key))
            for field in ("deps", "outs", "metrics")
            for key in stage.get(field, [])
        ]
        for path in paths:
            assert any(f"{one}/".startswith(f"{path}/") or f"{path}/".startswith(f"{one}/") for one in known), f"{name}: {path}"
