"""The page: one file, nothing fetched, equal bytes for equal files. `templates/` holds its form, `words` what it says."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from relume.core.results import Group
from relume.report import surrogates
from relume.report.answers import Answer, answers
from relume.report.backbones import backbones, leakage
from relume.report.boards import Board, Line, boards
from relume.report.charts import Forest, Panel, forest, methods, panels, short
from relume.report.columns import MINUS, Column, circular, column
from relume.report.config import Report
from relume.report.depth import Curve, Depths, depths
from relume.report.depth_chart import DepthPanel, depth_panels, legend_key
from relume.report.efforts import Effort, effort
from relume.report.generators import others
from relume.report.generators import section as generators_section
from relume.report.judges import heats, ladders
from relume.report.landscape import section as landscapes
from relume.report.lessons import Lesson, lesson
from relume.report.maps import change, decoding, section
from relume.report.masked import Masked
from relume.report.masked import section as masked_section
from relume.report.material import Material, Table
from relume.report.pictures import data_uri, original, pick, reconstruction
from relume.report.provenance import Commands, Model, used
from relume.report.viewer import Route, routes
from relume.report.words import Finding, Verdict, best, descent, findings, headline, verdict
from relume.report.xy_chart import Plot

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("viewer.js", "page.js")


@dataclass(frozen=True, kw_only=True)
class Tile:
    line: Line
    uri: str  # empty where the method has no such picture
    psnr: float | None


@dataclass(frozen=True, kw_only=True)
class Strip:
    """One picture of the grid and what every method made of it."""

    id: str
    source: str
    uri: str
    tiles: list[Tile]


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """A network's taps from shallow to deep, measured and shown."""

    depths: Depths
    panels: list[DepthPanel]
    descents: list[str]
    rows: list[tuple[Curve, list[int | None]]]  # which of a strip's tiles stands at each place


@dataclass(frozen=True, kw_only=True)
class Section:
    """A board with all that is shown of it."""

    board: Board
    answers: list[Answer]
    findings: list[Finding]
    forest: Forest
    strips: list[Strip]
    ladders: list[Ladder]
    routes: list[Route]
    backbones: list[Plot]
    leakage: Plot | None
    effort: Effort | None
    single: list[Depths]  # networks at one depth only
    best: dict[str, Line]  # column -> its best method


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """A group: what was run, what it cost, where it comes from."""

    name: str
    lines: list[Line]
    panels: list[Panel]
    curves: list[str]
    lessons: list[Lesson]
    settings: list[tuple[str, str]]
    device: str
    hashes: list[tuple[str, str]]
    command: str  # empty where the pipeline is not known
    models: list[tuple[Model, str]]  # that it used, with their commands
    fillers: list[tuple[str, bool]]  # of a masked group: methods, and whether they are floors


def render(material: Material, config: Report, level: float, made: Commands | None = None) -> str:
    """The whole page as text. `level` is that of the intervals, as compare was told; `made` says what makes which folder."""
    found = boards(material.leaderboard)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["breakable"] = breakable
    masked = masked_section(material, config.pictures, level)
    generators = generators_section(material)
    return environment.get_template("index.html.j2").render(
        headline=_headline(found, masked),
        sections=[_section(material, board, config, level) for board in found],
        maps=section(material.maps),
        landscapes=landscapes(material.groups),
        masked=masked,
        generators=generators,
        decoding=decoding,
        change=change,
        heats=heats(material.correlations),
        ladders=ladders(material.self_test),
        minus=MINUS,
        verdicts=verdicts(material.comparisons),
        extras=[extra for extra in _extras(others(material.sets, generators), material.surrogates) if extra[1]],
        chapters=[_chapter(material, group, found, made or {}) for group in material.groups],
        level=f"{level:.0%}",
        column=column,
        circular=circular,
        legend_key=legend_key,
        short=short,
        style=Markup((TEMPLATES / "style.css").read_text()),
        script=Markup("".join((TEMPLATES / name).read_text() for name in SCRIPTS)),
    )


def _headline(found: Sequence[Board], masked: Masked | None) -> str:
    return masked.headline if masked is not None and not any(board.methods for board in found) else headline(found)


def breakable(name: str) -> Markup:
    """A long name may break after its underscores."""
    return escape(name).replace("_", Markup("_<wbr>"))


def _section(material: Material, board: Board, config: Report, level: float) -> Section:
    leaders = {one.name: line for one in board.columns if (line := board.best(one)) is not None}
    found = depths(board, material.taps)
    return Section(
        board=board,
        answers=answers(board, found, material.comparisons),
        findings=findings(board, material.comparisons, level),
        forest=forest(board),
        strips=[_strip(material, board, id) for id in pick(material, board, config.pictures)],
        ladders=[_ladder(board, one) for one in found if one.depths > 1],
        routes=routes(shown(board), found),
        backbones=backbones(board, found, material.taps),
        leakage=leakage(board, found, material.taps),
        effort=effort(material, board),
        single=[one for one in found if one.depths == 1],
        best=leaders,
    )


def _ladder(board: Board, one: Depths) -> Ladder:
    tiles = {line.key: number for number, line in enumerate(shown(board))}
    rows = [(curve, [curve.best.get(place) for place in one.places]) for curve in one.curves]
    return Ladder(
        depths=one,
        panels=depth_panels(board, one),
        descents=[descent(board, curve) for curve in one.curves if curve.steps],
        rows=[(curve, [None if line is None else tiles[line.key] for line in lines]) for curve, lines in rows],
    )


def _strip(material: Material, board: Board, id: str) -> Strip:
    tiles = []
    for line in shown(board):
        pixels = reconstruction(material, line, id)
        uri = "" if pixels is None else data_uri(pixels)
        tiles.append(Tile(line=line, uri=uri, psnr=material.entries[line.key].psnr.get(id)))
    source = material.originals[board.dataset].sources[id]
    return Strip(id=id, source=source, uri=data_uri(original(material, board, id)), tiles=tiles)


def shown(board: Board) -> list[Line]:
    """The grid's columns: all methods, and of the floors the best blind one and those that the best method stands between."""
    lines = board.methods or board.floors
    chosen = [board.blind, *(board.bracket(best(board.methods)) if board.methods else ())]
    return [*lines, *(floor for floor in board.floors if floor in chosen and floor not in lines)]


def verdicts(comparisons: Table) -> dict[str, list[Verdict]]:
    """By question, in the order of the file."""
    asked: dict[str, list[Verdict]] = {}
    for row in comparisons:
        asked.setdefault(row["question"], []).append(verdict(row))
    return asked


def _extras(sets: Table, embeddings: Table) -> Iterator[tuple[str, Table, list[Column]]]:
    """The tables that some projects fill and others do not."""
    names = sets[0] if sets else ()
    yield "Sets of pictures", sets, [column(name) for name in names if any(row[name] for row in sets)]
    yield surrogates.TITLE, embeddings, surrogates.COLUMNS


def _chapter(material: Material, group: Group, found: Sequence[Board], made: Commands) -> Chapter:
    keys = [key for key, entry in material.entries.items() if entry.group is group]
    fillings = [one for one in material.fillings if one.group.name == group.name]
    fillers = [(method, method in one.floors) for one in fillings for method in one.methods]
    trained = {name: material.trained[name] for name, *_ in keys if name in material.trained}
    trained |= {name: material.trained[name] for name, _ in fillers if name in material.trained}
    lines = {line.key: line for board in found for line in board.lines}
    trace = [] if fillings else material.traces[group.name]  # energies stand in a section of their own
    about = dict(group.method)
    device = str(about.pop("device", ""))
    hashes = [(name, str(value)) for name, value in about.items() if isinstance(value, str)]
    nested = {name: value for name, value in about.items() if not isinstance(value, str)}
    nested = {**nested.pop("config", {}), **nested}
    return Chapter(
        name=group.name,
        lines=[lines[key] for key in keys if key in lines],
        panels=panels(trace),
        curves=methods(trace),
        lessons=[lesson(name, model) for name, model in trained.items()],
        settings=list(_flat(nested)),
        device=device,
        hashes=sorted(hashes),
        command=made.get(("reconstructions", group.name), ""),
        models=[(one, made.get((one.kind, one.name), "")) for one in used(group, material.models)],
        fillers=fillers,
    )


def _flat(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as dotted keys, in their own order."""
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _flat(inner, f"{path}{key}.")
        else:
            yield f"{path}{key}", _plain(inner)


def _plain(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_plain(one) for one in value)}]"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else "–" if value is None else str(value)
