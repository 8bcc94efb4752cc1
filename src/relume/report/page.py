"""The page: one HTML file that loads nothing else. Equal inputs give equal bytes. Its templates are in `templates/`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from relume.core.results import Group
from relume.report import generators, landscape, maps, masked, surrogates
from relume.report.charts import Forest, Panel, forest, methods, panels, short
from relume.report.columns import MINUS, Column, circular, column
from relume.report.config import Report
from relume.report.convergence import convergence
from relume.report.data import ReportData, Table
from relume.report.depth import Curve, DepthPanel, Depths, depth_panels, depths
from relume.report.findings import Comparison, Finding, best, depth_trend, findings, headline, read_comparison
from relume.report.images import data_uri, pick, reconstruction
from relume.report.leaderboards import Leaderboard, Result, leaderboards
from relume.report.metric_checks import correlation_matrices, degradation_test
from relume.report.networks import leakage, network_plots
from relume.report.plots import Plot
from relume.report.provenance import Commands, Model, used
from relume.report.summaries import NetworkSummary, summaries
from relume.report.training import Training, training
from relume.report.viewer import ViewerGroup, viewer_groups

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("viewer.js", "page.js")


@dataclass(frozen=True, kw_only=True)
class Tile:
    result: Result
    uri: str  # empty where the method has no such image
    psnr: float | None


@dataclass(frozen=True, kw_only=True)
class ImageRow:
    """One image and its reconstructions by all methods."""

    id: str
    source: str
    uri: str
    tiles: list[Tile]


@dataclass(frozen=True, kw_only=True)
class DepthSection:
    """One network from shallow to deep."""

    depths: Depths
    panels: list[DepthPanel]
    trends: list[str]
    rows: list[tuple[Curve, list[int | None]]]  # per tap the index of the tile


@dataclass(frozen=True, kw_only=True)
class Section:
    """A leaderboard and what is shown of it."""

    board: Leaderboard
    summaries: list[NetworkSummary]
    findings: list[Finding]
    forest: Forest
    images: list[ImageRow]
    depths: list[DepthSection]
    viewer: list[ViewerGroup]
    networks: list[Plot]
    leakage: Plot | None
    convergence: list[Plot]
    single: list[Depths]  # networks with one depth only


@dataclass(frozen=True, kw_only=True)
class GroupSection:
    """A group: what was run, its cost and provenance."""

    name: str
    results: list[Result]
    panels: list[Panel]
    curves: list[str]
    trainings: list[Training]
    settings: list[tuple[str, str]]
    device: str
    hashes: list[tuple[str, str]]
    command: str  # empty where the pipeline is not known
    models: list[tuple[Model, str]]  # with their commands
    masked_methods: list[tuple[str, bool]]  # name, and whether it is a baseline


def render(data: ReportData, config: Report, level: float, made: Commands | None = None) -> str:
    """The whole page. `level` is that of the intervals; `made` has the command that makes each folder."""
    boards = leaderboards(data.leaderboard)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["breakable"] = breakable
    environment.globals |= {"column": column, "circular": circular, "short": short, "level": f"{level:.0%}"}
    masked_section, generator_sections = masked.section(data, config.pictures, level), generators.section(data)
    only_masked = masked_section is not None and not any(board.methods for board in boards)
    return environment.get_template("index.html.j2").render(
        headline=masked_section.headline if masked_section is not None and only_masked else headline(boards),
        sections=[_section(data, board, config, level) for board in boards],
        maps=maps.section(data.maps),
        landscapes=landscape.section(data.groups),
        masked=masked_section,
        generators=generator_sections,
        decoding=maps.decoding,
        change=maps.change,
        matrices=correlation_matrices(data.correlations),
        degradations=degradation_test(data.self_test),
        minus=MINUS,
        comparisons=comparisons_by_question(data.comparisons),
        extras=[extra for extra in _extras(generators.others(data.sets, generator_sections), data.surrogates) if extra[1]],
        groups=[_group(data, group, boards, made or {}) for group in data.groups],
        style=Markup((TEMPLATES / "style.css").read_text()),
        script=Markup("".join((TEMPLATES / name).read_text() for name in SCRIPTS)),
    )


def breakable(name: str) -> Markup:
    """A long name may break after its underscores."""
    return escape(name).replace("_", Markup("_<wbr>"))


def _section(data: ReportData, board: Leaderboard, config: Report, level: float) -> Section:
    found = depths(board, data.taps)
    return Section(
        board=board,
        summaries=summaries(board, found, data.comparisons),
        findings=findings(board, data.comparisons, level),
        forest=forest(board),
        images=[_images(data, board, id) for id in pick(data, board, config.pictures)],
        depths=[_depths(board, one) for one in found if one.depths > 1],
        viewer=viewer_groups(shown(board), found),
        networks=network_plots(board, found, data.taps),
        leakage=leakage(board, found, data.taps),
        convergence=convergence(data, board),
        single=[one for one in found if one.depths == 1],
    )


def _depths(board: Leaderboard, one: Depths) -> DepthSection:
    tiles = {result.key: number for number, result in enumerate(shown(board))}
    rows = [(curve, [curve.best.get(place) for place in one.places]) for curve in one.curves]
    return DepthSection(
        depths=one,
        panels=depth_panels(board, one),
        trends=[depth_trend(board, curve) for curve in one.curves if curve.steps],
        rows=[(curve, [None if result is None else tiles[result.key] for result in results]) for curve, results in rows],
    )


def _images(data: ReportData, board: Leaderboard, id: str) -> ImageRow:
    tiles = []
    for result in shown(board):
        pixels = reconstruction(data, result, id)
        uri = "" if pixels is None else data_uri(pixels)
        tiles.append(Tile(result=result, uri=uri, psnr=data.entries[result.key].psnr.get(id)))
    originals = data.originals[board.dataset]
    return ImageRow(id=id, source=originals.sources[id], uri=data_uri(originals.image(id)), tiles=tiles)


def shown(board: Leaderboard) -> list[Result]:
    """Columns of the image grid: all methods, the best no-information baseline, the oracle baselines next to the best method."""
    results = board.methods or board.baselines
    chosen = [board.no_information, *(board.bracket(best(board.methods)) if board.methods else ())]
    return [*results, *(row for row in board.baselines if row in chosen and row not in results)]


def comparisons_by_question(comparisons: Table) -> dict[str, list[Comparison]]:
    """In the order of the file."""
    found: dict[str, list[Comparison]] = {}
    for row in comparisons:
        found.setdefault(row["question"], []).append(read_comparison(row))
    return found


def _extras(sets: Table, embeddings: Table) -> Iterator[tuple[str, Table, list[Column]]]:
    """Tables that are empty in some projects."""
    names = sets[0] if sets else ()
    yield "Sets of images", sets, [column(name) for name in names if any(row[name] for row in sets)]
    yield surrogates.TITLE, embeddings, surrogates.COLUMNS


def _group(data: ReportData, group: Group, boards: Sequence[Leaderboard], made: Commands) -> GroupSection:
    keys = [key for key, entry in data.entries.items() if entry.group is group]
    masked_groups = [one for one in data.masked_groups if one.group.name == group.name]
    masked_methods = [(method, method in one.baselines) for one in masked_groups for method in one.methods]
    trained = {name: data.trained[name] for name, *_ in keys if name in data.trained}
    trained |= {name: data.trained[name] for name, _ in masked_methods if name in data.trained}
    results = {result.key: result for board in boards for result in board.rows}
    trace = [] if masked_groups else data.traces[group.name]  # energies are in a section of their own
    about = dict(group.method)
    device = str(about.pop("device", ""))
    hashes = [(name, str(value)) for name, value in about.items() if isinstance(value, str)]
    nested = {name: value for name, value in about.items() if not isinstance(value, str)}
    return GroupSection(
        name=group.name,
        results=[results[key] for key in keys if key in results],
        panels=panels(trace),
        curves=methods(trace),
        trainings=[training(name, model) for name, model in trained.items()],
        settings=list(_flat({**nested.pop("config", {}), **nested})),
        device=device,
        hashes=sorted(hashes),
        command=made.get(("reconstructions", group.name), ""),
        models=[(model, made.get((model.kind, model.name), "")) for model in used(group, data.models)],
        masked_methods=masked_methods,
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
        return f"[{', '.join(_plain(item) for item in value)}]"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else "–" if value is None else str(value)
