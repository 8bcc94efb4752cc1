"""The stage entry point: declared parameters, errors, provenance, scratch folders. `relume.params` and `relume.tracking` are
imported by name: they do not change outputs, so they are not code dependencies."""

import gc
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, TypeVar, get_args, get_origin

import click
import yaml

from relume.core.code import stage_digest
from relume.core.config import build, read_params
from relume.core.errors import UserError
from relume.core.files import Scratch, check_writable, digest, sha256
from relume.core.process import end_with_parent, held, keep_freed_memory
from relume.core.run import Run

T = TypeVar("T")
PARAMS, CODE, LOCKS = Path("params.yaml"), Path("code"), Path(".dvc/tmp/relume")


class StageContext:
    """The context of a running stage. `name` is its name in `dvc.yaml` (`invert_optimise`), `item` its `@item`, if any."""

    def __init__(self, name: str, item: str = "") -> None:
        self.name, self.item = name, item
        self._label = f"{name}@{item}" if item else name
        whole = importlib.import_module("relume.params").check(read_params(PARAMS))
        running = os.environ.get("DVC_STAGE")
        self._given = whole
        if running is not None:
            entry = yaml.safe_load(Path("dvc.yaml").read_text())["stages"][name]  # before interpolation
            self._given = declared(whole, entry.get("do", entry)["params"], running.partition("@")[2])
        self._read: dict[str, Any] = {}
        self._held = ExitStack()

    def __enter__(self) -> Self:
        keep_freed_memory()
        if "DVC_STAGE" in os.environ:
            end_with_parent()
        return self

    def claim(self, out: Path) -> None:
        """An output of this stage: it can be written, and no other stage of DVC's writes it; where one still does, waits."""
        check_writable(out)
        if "DVC_STAGE" in os.environ:
            self._hold(LOCKS / f"{str(out).replace(os.sep, '_')}.lock")

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def section(self, cls: type[T], key: str) -> T:
        """The section (or the key `a.b`) as its dataclass."""
        built = build(cls, self.plain(key), key)
        if isinstance(built, Run):  # not in Run itself: the API uses all threads
            importlib.import_module("torch").set_num_threads(built.threads)
        return built

    def plain(self, key: str) -> Any:
        """The section as plain data."""
        here: Any = self._given
        for part in key.split("."):
            if not isinstance(here, dict) or part not in here:
                raise UserError(f"params: {key}: missing, or not declared under `params` of stage {self.name} in dvc.yaml")
            here = here[part]
        self._read[key] = here
        return here

    def method(self, config: Any, device: str, **more: Any) -> dict[str, Any]:
        """The content of `method.json`."""
        return {"config": config if isinstance(config, dict) else asdict(config), "device": device, **more, **self.provenance()}

    def provenance(self) -> dict[str, str]:
        """Hashes of the stage's code and of the parameters that it has read."""
        return {"code": self._code(), "params": digest(self._read)}

    def scratch(self, inputs: Iterable[Path], device: str) -> Scratch:
        """The folder of checkpoints for this code, these parameters and inputs, and this device. A folder among the inputs stands
        for the cards of the models and features in it."""
        parts = [(path,) if path.is_file() else [*path.glob("**/model.json"), *path.glob("**/stats.json")] for path in inputs]
        hashes = [(str(path), sha256(path)) for part in parts for path in sorted(part)]
        key = digest([self._code(), self._read, hashes, device, version("torch")])
        root = os.environ.get("RELUME_SCRATCH") or Path(os.environ.get("DVC_ROOT", ".")) / ".dvc" / "tmp" / "resume"
        folder = Path(root) / f"{self._label}-{key}"
        self._hold(folder / ".lock")  # a variant in another folder may need the same
        return Scratch(folder)

    def _hold(self, lock: Path) -> None:
        """Until the stage ends. Of several processes of one training the first holds it; a job of `relume.launch` works for the
        process that holds it."""
        if os.environ.get("RANK", "0") == "0" and "RELUME_SHARDS" not in os.environ:
            self._held.enter_context(held(lock, lambda line: click.echo(f"{self._label}: {line}", err=True)))

    def _code(self) -> str:
        return stage_digest(self.name, CODE if "DVC_STAGE" in os.environ else None)

    def live(self, params: Mapping[str, object]) -> Any:
        """A live MLflow logger for long loops: `with context.live(config) as log: log.log(step, {name: value})`."""
        return importlib.import_module("relume.tracking.live").live(self._label, params)


def declared(whole: Mapping[str, Any], keys: Iterable[str], item: str) -> dict[str, Any]:
    """The parameters that `dvc.yaml` declares for the running stage. DVC's `params_show` takes seconds: it reads all of
    `dvc.lock`."""
    found: dict[str, Any] = {}
    for key in keys:
        *parents, last = key.replace("${key}", item).split(".")
        source, into = whole, found
        for part in parents:
            source, into = source[part], into.setdefault(part, {})
        into[last] = source[last]
    return found


def stage(
    name: str, *, item: str = "", about: str | None = None, options: Mapping[str, Any] = MappingProxyType({})
) -> Callable[[Callable[..., None]], click.Command]:
    """Decorator that makes the command of a stage. Every parameter after the context is an option, `Annotated[type, help]`, and
    `options` are further ones, which `**` takes. At the end results go to MLflow. `item`: the option that holds the item of a
    `foreach` or `matrix`. `about`: the help; default: the text of the module."""
    gc.enable()  # `stages` disables it for the imports, which are done

    def wrap(function: Callable[..., None]) -> click.Command:
        def run(**given: Any) -> None:
            which = str(given[item]) if item else ""
            try:
                with StageContext(name, which) as context:
                    for option in ("out", "timing"):
                        if option in given:
                            context.claim(given[option])
                    function(context, **given)
                importlib.import_module("relume.tracking.project").after_stage(name, which)
            except UserError as error:
                click.secho(f"{name}: {error}", fg="red", err=True)
                sys.exit(1)

        _, *own = inspect.signature(function).parameters.values()
        found: list[click.Parameter] = [
            _option(one.name, one.annotation, one.default) for one in own if one.kind is not one.VAR_KEYWORD
        ]
        found += [_option(option, annotation) for option, annotation in options.items()]
        return click.Command(
            name.replace("_", "-"), params=found, callback=run, help=about or sys.modules[function.__module__].__doc__
        )

    return wrap


def _option(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> click.Option:
    """A tuple is an option that may be repeated, a bool a flag, a parameter with a default an option that may be left out."""
    kind, text = get_args(annotation)
    about: dict[str, Any] = {"type": str if kind is str else click.Path(path_type=Path), "multiple": get_origin(kind) is tuple}
    if kind is bool:
        about = {"is_flag": True}
    return click.Option([f"--{name.replace('_', '-')}"], required=default is inspect.Parameter.empty, help=text, **about)
