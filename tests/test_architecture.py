"""DESIGN's rules as tests: arrows point one way, families are listed once, `dvc.yaml` names the code that each stage runs."""

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

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
ALSO = {  # a family's part of the page, and the module that asks the families for theirs
    "methods": ("report.py", {"report"}),
    "report": ("families.py", {"methods"}),
}


def imports(path: Path) -> set[Path]:
    """Files under src/ that `path` imports directly, with the `__init__` files on their way that are not empty."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write absolute imports"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    found: set[Path] = set()
    for parts in (name.split(".") for name in names if name.startswith("relume.")):
        for end in range(1, len(parts) + 1):
            stem = SRC.joinpath(*parts[:end])
            files = (stem.with_suffix(".py"), stem / "__init__.py")
            found |= {file for file in files if file.exists() and file.read_text().strip()}
    return found


def package(path: Path) -> str:
    return path.relative_to(SRC / "relume").parts[0]


def stages() -> dict[str, dict[str, Any]]:
    return {name: stage.get("do", stage) for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items()}


def script(stage: dict[str, Any]) -> Path:
    return ROOT / (stage["cmd"].split("-m ")[1].split()[0].replace(".", "/") + ".py")


@pytest.mark.parametrize("name", sorted(MAY_IMPORT))
def test_arrows_point_one_way(name: str) -> None:
    for module in (SRC / "relume" / name).rglob("*.py"):
        file, also = ALSO.get(name, ("", set()))
        for other in imports(module):
            allowed = MAY_IMPORT[name] | {name} | (also if module.name == file else set())
            assert package(other) in allowed, f"{module.relative_to(ROOT)} imports {other.relative_to(ROOT)}"


def test_every_family_is_a_folder_in_the_registry() -> None:
    folders = {path.parent.name for path in (SRC / "relume/methods").glob("*/__init__.py")}
    assert folders == {family.name for family in FAMILIES}
    assert len(FAMILIES) == len(folders)
    for family in FAMILIES:
        for name in ("checks", "report"):
            assert getattr(family, name) == (SRC / f"relume/methods/{family.name}/{name}.py").exists(), family.name


def families(path: Path) -> set[str]:
    """The families that a module imports, or whose sections or folders of models its code names."""
    signs = {f"models/{family.kind}": family.name for family in FAMILIES if family.kind}
    signs |= {section.key: family.name for family in FAMILIES for section in family.sections}
    tree = ast.parse(path.read_text())
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in said)
    named = {signs[text.partition(".")[0]] for text in texts if isinstance(text, str) and text.partition(".")[0] in signs}
    return named | {other.parts[-2] for other in imports(path) if other.match("methods/*/*.py")}


def listed(path: Path) -> set[str]:
    """The families and kinds of models in the longest list of them that the module writes down."""
    names = {name for family in FAMILIES for name in (family.name, family.kind)}
    displays = [
        node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict)
    ]
    found = [{part.value for part in ast.walk(one) if isinstance(part, ast.Constant)} & names for one in displays]
    return max(found, key=len, default=set())


def test_no_other_module_lists_the_families() -> None:
    """One that knows most of them would have to be edited for a new one."""
    modules = [path for path in SRC.rglob("*.py") if SRC / "relume/methods" not in path.parents]
    knows = {
        str(path.relative_to(ROOT)): max(families(path), listed(path), key=len)
        for path in [*modules, *(ROOT / "stages").glob("*.py")]
    }
    assert {name: known for name, known in knows.items() if len(known) > len(FAMILIES) // 2} == {}
    assert len(families(SRC / "relume/methods/optimise/checks.py")) > 1, "the search finds what it looks for"


def test_tables_and_report_wait_for_the_models_of_every_family() -> None:
    kinds = {f"models/{family.kind}" for family in FAMILIES if family.kind}
    assert kinds <= set(stages()["report"]["deps"])


def test_a_stage_depends_on_the_file_of_its_code() -> None:
    for name, stage in stages().items():
        code = [dep for dep in stage["deps"] if dep.startswith(("code/", "src", "stages"))]
        assert code == (["src", "stages"] if name == "code" else [f"code/{script(stage).stem}.json"]), name


def test_stage_script_and_section_share_a_name() -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"}
    assert scripts == set(stages())
    scripts -= {"code"}  # has no parameters
    assert scripts <= set(params)
    assert set(params) - scripts == {"run", "losses", "recipes"}


def test_package_inits_stay_empty() -> None:
    """A module that runs at a package's import would be a dependency of everything in it."""
    full = [path for path in (SRC / "relume").rglob("__init__.py") if path.read_text().strip()]
    assert full == [SRC / "relume/api/__init__.py"], "but for the interface of users, which no stage imports"


def test_command_lines_name_their_dependencies() -> None:
    """`cmd`, `deps` and `outs` match by eye: a folder on the command line is, holds or lies in a declared path."""
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
