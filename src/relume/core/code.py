"""Digests of a stage's code: its script and all files that it imports, without comments and docstrings. The stage `code` writes
`code/<stage>.json`, because DVC does not follow imports (treeverse/dvc#9195)."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from relume.core.files import digest, read_json, write_json

STAGES, SOURCES, TEMPLATES = "stages", "src", "templates"
BUILDERS = "relume.networks.builders"
TREE = Path(__file__).resolve().parents[3]  # the workspace's root


def write_stages(out: Path, root: Path = TREE, factories: Iterable[str] = ()) -> list[str]:
    """`<stage>.json` for every script of `stages/`: file -> digest. `factories`: modules of user-defined networks; those below
    `src/` are added to stages that build networks."""
    own = [name for name in factories if _file(name, root).exists()]
    names = sorted(path.stem for path in (root / STAGES).glob("*.py") if path.stem != "__init__")
    for name in names:
        builds = BUILDERS in closure([f"{STAGES}.{name}"], root)
        write_json(out / f"{name}.json", files_of([f"{STAGES}.{name}", *(own if builds else ())], root))
    return names


def files_of(modules: Iterable[str], root: Path = TREE) -> dict[str, str]:
    """The modules, all modules of this tree that they import, and their templates: path relative to `root` -> digest."""
    found: dict[str, str] = {}
    files = {file for name in closure(modules, root) for file in (*_packages(name, root), _file(name, root))}
    for path in sorted(file for file in files if file.exists() and file.stat().st_size):
        found[path.relative_to(root).as_posix()], names_templates = _read(path)
        if names_templates:
            texts = sorted(file for file in (path.parent / TEMPLATES).glob("*") if file.is_file())
            found |= {file.relative_to(root).as_posix(): digest(file.read_text()) for file in texts}
    return found


def digest_of(modules: Iterable[str], root: Path = TREE) -> str:
    """One digest of `files_of(modules)`."""
    return digest(files_of(modules, root))


def stage_digest(name: str, folder: Path | None) -> str:
    """The digest of a stage's code. `folder`: the output of the stage `code`; None: compute the digest."""
    return digest_of([f"{STAGES}.{name}"]) if folder is None else digest(read_json(folder / f"{name}.json"))


def closure(modules: Iterable[str], root: Path = TREE) -> set[str]:
    """The modules and all modules of this tree that they import, also inside functions, by dotted name."""
    found, left = set[str](), list(modules)
    while left:
        if (name := left.pop()) not in found:
            found.add(name)
            left += [other for other in _imported(_file(name, root)) if _file(other, root).exists()]
    return found


def _file(name: str, root: Path) -> Path:
    """The file of a module; a package is its `__init__.py`."""
    base = root if name.split(".")[0] == STAGES else root / SOURCES
    stem = base.joinpath(*name.split("."))
    return stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")


def _packages(name: str, root: Path) -> Iterator[Path]:
    """The `__init__.py` files that importing a module runs, except that of `relume`: it only has lazy names."""
    parts = name.split(".")
    return (_file(".".join(parts[:end]), root) for end in range(1 if parts[0] == STAGES else 2, len(parts)))


@cache
def _imported(path: Path) -> tuple[str, ...]:
    """Names that a file imports; of `from a import b` both `a` and `a.b`, since `b` may be a module."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level or not node.module:
                raise ImportError(f"{path}:{node.lineno}: write absolute imports: code dependencies are read from them")
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "import_module":
            names += _matching(node.args[0], path)
    return tuple(dict.fromkeys(names))


def _matching(name: ast.expr, path: Path) -> list[str]:
    """Modules that `import_module(f"relume.methods.{name}.report")` may import: any name for the gaps."""
    if not isinstance(name, ast.JoinedStr):
        return []
    pieces = [part.value if isinstance(part, ast.Constant) else "*" for part in name.values]
    sources = next((folder for folder in path.parents if folder.name == SOURCES), path.parent)
    found = sorted(sources.glob(f"{''.join(map(str, pieces)).replace('.', '/')}.py"))
    return [".".join(file.relative_to(sources).with_suffix("").parts) for file in found]


@cache
def _read(path: Path) -> tuple[str, bool]:
    """A file's digest, and whether it uses the folder of templates."""
    tree = ast.parse(path.read_text())
    names = any(isinstance(node, ast.Constant) and node.value == TEMPLATES for node in ast.walk(tree))
    return digest(_plain(tree)), names


def _plain(node: Any) -> Any:
    """The syntax tree as plain data, without docstrings and empty fields, so that Python versions agree."""
    if isinstance(node, list):
        return [_plain(each) for each in node if not _is_docstring(each)]
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = {key: _plain(value) for key, value in ast.iter_fields(node) if value is not None and value != []}
    return [type(node).__name__, parts]


def _is_docstring(node: Any) -> bool:
    """Whether the node is a string expression statement."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
