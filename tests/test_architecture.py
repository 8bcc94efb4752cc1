"""DESIGN's rules as tests: arrows point one way; stage, script and section share a name."""

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src"
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "data": {"core"},
    "features": {"core"},
    "losses": {"core"},
    "models": {"core"},
    "training": {"core", "data", "features", "losses", "models"},
    "inversion": {"core", "data", "features", "losses", "models", "training"},
    "evaluation": {"core", "data", "features", "losses"},
    "report": {"core"},
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


def room(path: Path) -> str:
    return path.relative_to(SRC / "relume").parts[0]


def stages() -> dict[str, dict[str, Any]]:
    return {name: stage.get("do", stage) for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items()}


def script(stage: dict[str, Any]) -> Path:
    return ROOT / (stage["cmd"].split("-m ")[1].split()[0].replace(".", "/") + ".py")


@pytest.mark.parametrize("name", sorted(MAY_IMPORT))
def test_arrows_point_one_way(name: str) -> None:
    for module in (SRC / "relume" / name).rglob("*.py"):
        for other in imports(module):
            assert room(other) in MAY_IMPORT[name] | {name}, f"{module.relative_to(ROOT)} imports {other.relative_to(ROOT)}"


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
    assert [path for path in (SRC / "relume").rglob("__init__.py") if path.read_text().strip()] == []


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
