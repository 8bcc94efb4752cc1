"""What a training's code does, as a digest: the modules that it imports, whatever their comments and docstrings say."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from relume.core.files import digest

SOURCES = Path(__file__).resolve().parents[1] / "src"


def code_of(modules: Iterable[str], sources: Path = SOURCES) -> str:
    """Of the modules and all of this project that they import."""
    return digest([(name, _plain(ast.parse(_file(name, sources).read_text()))) for name in sorted(closure(modules, sources))])


def closure(modules: Iterable[str], sources: Path = SOURCES) -> set[str]:
    found, left = set[str](), list(modules)
    while left:
        if (name := left.pop()) not in found:
            found.add(name)
            left += imported(ast.parse(_file(name, sources).read_text()), sources)
    return found


def imported(tree: ast.AST, sources: Path) -> Iterator[str]:
    """Names of the modules below `sources` that the code imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in names if _file(name, sources).exists())


def _file(name: str, sources: Path) -> Path:
    return sources / Path(*name.split(".")).with_suffix(".py")


def _plain(node: Any) -> Any:
    """The syntax as plain data, without docstrings; what is empty is left out, so that Python's versions agree."""
    if isinstance(node, list):
        return [_plain(each) for each in node if not _docstring(each)]
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = {key: _plain(value) for key, value in ast.iter_fields(node) if value is not None and value != []}
    return [type(node).__name__, parts]


def _docstring(node: Any) -> bool:
    """A text that stands alone does nothing."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
