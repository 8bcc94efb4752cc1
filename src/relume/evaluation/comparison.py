"""The result tables: means with intervals, comparisons with baselines and between methods, a summary for git."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from relume.core.errors import UserError
from relume.core.files import write_csv, write_json
from relume.evaluation.config import OWN_MEAN, Compare, Question
from relume.evaluation.correlations import CORRELATIONS, correlations
from relume.evaluation.evidence import Cell, find, hidden
from relume.evaluation.metrics import (
    MATCH,
    METHOD,
    REID,
    REID_N,
    REID_PAIRS,
    SETS,
    Metric,
    circular,
    is_reid,
    metric,
    set_name,
)
from relume.evaluation.statistics import Draws, Interval
from relume.networks.catalogue import trunk

# fmt: off
LEADERBOARD = ("method", "family", "task", "oracle", "dataset", "size", "network", "tap", "n", "sources",
    "psnr", "psnr_lo", "psnr_hi", "ssim", "ms_ssim", "lpips_alex", "lpips_vgg", "feature_error",
    "reid_top1", "reid_net", "reid_n", "fd_net", "fd", "kid", "seconds_per_image", "device")
MASKED = ("method", "dataset", "size", "mask_ratio", "n", "psnr_masked", "psnr_masked_lo", "psnr_masked_hi",
    "psnr_pasted", "psnr_full", "mse_masked", "ssim_pasted", "lpips_alex", "fd_net", "fd", "probe_top1", "knn_top1",
    "parameters", "seconds_per_image", "device")
COMPARISONS = ("question", "a", "b", "dataset", "size", "network", "tap", "metric", "n", "sources",
    "mean_a", "mean_b", "diff", "lo", "hi", "device")
# fmt: on
BOUNDED = tuple(f"{name}{end}" for name in ("reid_top1", "reid_match") for end in ("", "_lo", "_hi"))[1:]
MORE = (*BOUNDED, "reid_pairs", "psnr_restarts_sd")  # after LEADERBOARD, followed by a column per view
HEADLINE = ("psnr", "ssim", "lpips_alex", "lpips_vgg", "feature_error")  # of the summary
MASKED_HEADLINE = ("psnr_masked", "lpips_alex")  # of masked methods, also for the comparison with baselines
Record = dict[str, object]
Table = Sequence[Mapping[str, str]]


def difference(a: Cell, b: Cell, name: str, draws: Draws) -> tuple[float, float, Interval] | None:
    """Means of a and b over the images that both have, and the interval of a - b; None without such images."""
    at_a, at_b = ({id: number for number, id in enumerate(cell.ids)} for cell in (a, b))
    common = [id for id in a.ids if id in at_b]
    if not common:
        return None
    left, right = (cell.values[name][[at[id] for id in common]] for cell, at in ((a, at_a), (b, at_b)))
    found = draws.interval(left - right, [a.sources[at_a[id]] for id in common])
    return float(left.mean()), float(right.mean()), found


def write_tables(
    out: Path,
    cells: Sequence[Cell],
    config: Compare,
    seed: int,
    *,
    sets: Table = (),
    probe: Table = (),
    views: Sequence[Metric] = (),
) -> None:
    """All tables, in `out`. `sets`: rows of SETS, `probe`: of probe.PROBE, `views`: the metrics of further networks; a
    method is ranked by the first re-identification network that it has not used."""
    draws = Draws(seed=seed, resamples=config.resamples, level=config.level)
    compared = [*against_floors(cells, config.metrics, draws), *answers(cells, config.questions, draws)]
    write_csv(out / "leaderboard.csv", (*LEADERBOARD, *MORE, *further(views)), leaderboard(cells, draws, views=views, sets=sets))
    write_csv(out / "comparisons.csv", COMPARISONS, compared)
    write_csv(out / "masked.csv", MASKED, masked_board(cells, draws, sets, probe))
    write_csv(out / "sets.csv", SETS, sets)
    agreed = correlations(cells, views, seed=seed, level=config.level)
    write_csv(out / "correlations.csv", CORRELATIONS, agreed)
    write_json(out / "summary.json", summary(cells, views))


def leaderboard(cells: Sequence[Cell], draws: Draws, *, views: Sequence[Metric] | None = None, sets: Table = ()) -> list[Record]:
    """A row per cell, in order, without masked reconstructions. With `views`, also MORE and their columns."""
    ranked = [cell for cell in cells if cell["task"] != "masked"]
    distances = {(row["name"], row["dataset"]): row for row in sets if row["kind"] == METHOD}
    rows: list[Record] = []
    for cell in ranked:
        row: Record = {**cell.identity, "n": len(cell.ids), "sources": len(set(cell.sources))}
        row |= {"seconds_per_image": cell.seconds, "device": cell.device, **_bounds(cell, "psnr", draws)}
        row |= {name: cell.mean(name) for name in ("psnr", "ssim", "ms_ssim", "lpips_alex", "lpips_vgg", "feature_error")}
        if found := distances.get((set_name(cell.identity), cell["dataset"])):
            row |= {"fd_net": found["net"], "fd": found["fd"], "kid": found["kid"]}
        rows.append(row if views is None else row | _further(cell, draws, views))
    return rows


def _bounds(cell: Cell, name: str, draws: Draws) -> Record:
    if not cell.applies(name):
        return {}
    found = draws.interval(cell.values[name], cell.sources)
    return {f"{name}_lo": found.lo, f"{name}_hi": found.hi}


def further(views: Sequence[Metric]) -> tuple[str, ...]:
    """Columns with means of metrics by further networks; not ranks of re-identification, whose mean has no meaning."""
    return ("lpips_squeeze", *(view.name for view in views if not is_reid(view.name)))


def _further(cell: Cell, draws: Draws, views: Sequence[Metric]) -> Record:
    """MORE and `further`: re-identification by the first network that the method has not used, and means."""
    row: Record = {"psnr_restarts_sd": cell.spreads["psnr"], **{name: cell.mean(name) for name in further(views)}}
    extractor = unseen(cell, views)
    if extractor is None:
        return row
    found = draws.interval((cell.values[extractor.name] == 1).astype(float), cell.sources)
    place = extractor.name.removeprefix(REID)
    reid = {"reid_top1": found.mean, "reid_top1_lo": found.lo, "reid_top1_hi": found.hi, "reid_net": place}
    if cell.applies(match := f"{MATCH}{place}"):
        found = draws.interval(cell.values[match], cell.sources)
        reid |= {"reid_match": found.mean, "reid_match_lo": found.lo, "reid_match_hi": found.hi}
    return {**row, **reid, **{name: int(cell.values[name][0]) for name in (REID_N, REID_PAIRS)}}


def unseen(cell: Cell, views: Sequence[Metric]) -> Metric | None:
    """The first re-identification network with values for this cell that its method has not used."""
    fitting = [
        view for view in views if view.name.startswith(REID) and cell.applies(view.name) and trunk(view.network) not in cell.seen
    ]
    return fitting[0] if fitting else None


def masked_board(cells: Sequence[Cell], draws: Draws, sets: Table, probe: Table) -> list[Record]:
    """A row per masked cell, in order. Frechet distances and probes are added where available."""
    fds = {(row["name"], row["dataset"]): {"fd_net": row["net"], "fd": row["fd"]} for row in sets if row["kind"] == "masked"}
    probed = {(row["method"], row["dataset"]): {key: row[key] for key in ("probe_top1", "knn_top1")} for row in probe}
    return [
        {
            **_masked(cell, draws),
            **fds.get((f"{cell['method']}@{cell.ratio}", cell["dataset"]), {}),
            **probed.get((cell["method"], cell["dataset"]), {}),
        }
        for cell in cells
        if cell["task"] == "masked"
    ]


def _masked(cell: Cell, draws: Draws) -> Record:
    names = ("psnr_masked", "psnr_pasted", "psnr_full", "mse_masked", "ssim_pasted", "lpips_alex")
    return {
        **{key: cell[key] for key in ("method", "dataset", "size", "mask_ratio")},
        "n": len(cell.ids),
        **{name: cell.mean(name) for name in names},
        **_bounds(cell, "psnr_masked", draws),
        "parameters": cell.parameters,
        "seconds_per_image": cell.seconds,
        "device": cell.device,
    }


def against_floors(cells: Sequence[Cell], metrics: Sequence[str], draws: Draws) -> Iterator[Record]:
    """Every method against the best no-information baseline (in that metric) and its mean colour. Masked methods have
    their own baselines and metrics at each ratio."""
    for cell in cells:
        if cell["family"] == "floor":
            continue
        floors = [other for other in cells if other["family"] == "floor" and _same_pictures(cell, other)]
        blind = [floor for floor in floors if not floor.oracle]
        own = [floor for floor in floors if floor["method"] == OWN_MEAN]
        held = [("the best blind floor", blind), ("its mean colour", own)]
        for label, candidates in [(f"the best floor, {hidden(cell.ratio)}", blind)] if cell.ratio else held:
            for name in MASKED_HEADLINE if cell.ratio else metrics:
                if best := _best(candidates, name):
                    yield from _answer(f"{cell['method']} against {label}", cell, best, name, draws)


def _best(floors: Sequence[Cell], name: str) -> Cell | None:
    fitting = [floor for floor in floors if floor.applies(name)]
    sign = 1 if metric(name).better == "higher" else -1
    return max(fitting, key=lambda floor: sign * floor.mean(name), default=None)


def answers(cells: Sequence[Cell], questions: dict[str, Question], draws: Draws) -> Iterator[Record]:
    """The questions of the parameters, for every dataset, size, tap and mask ratio of `a`."""
    for name, question in questions.items():
        key = f"compare.questions.{name}"
        others = find(cells, question.b, f"{key}.b")
        rows = [
            row
            for a in find(cells, question.a, f"{key}.a")
            for b in _opposite(a, others, key)
            for measured in question.metrics
            for row in _answer(f"{name}, {hidden(a.ratio)}" if a.ratio else name, a, b, measured, draws)
        ]
        if not rows:
            raise UserError(f"params: {key}: {question.a} and {question.b} have no image with these metrics in common")
        yield from rows


def _same_pictures(a: Cell, b: Cell) -> bool:
    return all(a[key] == b[key] for key in ("task", "dataset", "size")) and a.ratio == b.ratio


def _opposite(a: Cell, others: Sequence[Cell], key: str) -> list[Cell]:
    """The cell to compare with `a`: at the same tap if it exists, else the only one on these images."""
    found = [b for b in others if _same_pictures(a, b)]
    same = [b for b in found if (b["network"], b["tap"]) == (a["network"], a["tap"])]
    if len(same or found) > 1:
        taps = ", ".join(f"{b['network']} {b['tap']}" for b in found)
        raise UserError(
            f"params: {key}.b: {found[0]['method']} has several taps ({taps}), needs one or {a['network']} {a['tap']}"
        )
    return same or found


def _answer(question: str, a: Cell, b: Cell, name: str, draws: Draws) -> Iterator[Record]:
    """One row of comparisons, or none if the metric does not apply to both. A circular metric has no interval."""
    found = difference(a, b, name, draws) if a.applies(name) and b.applies(name) else None
    if found is None:
        return
    mean_a, mean_b, gain = found
    proves = not circular(name, a["network"]) and not circular(name, b["network"])
    yield {
        "question": question,
        "a": a["method"],
        "b": b["method"],
        **{key: a[key] for key in ("dataset", "size", "network", "tap")},
        "metric": name,
        "n": gain.n,
        "sources": gain.sources,
        "mean_a": mean_a,
        "mean_b": mean_b,
        "diff": gain.mean,
        "lo": gain.lo if proves else None,
        "hi": gain.hi if proves else None,
        "device": "; ".join(dict.fromkeys([a.device, b.device])),
    }


def summary(cells: Sequence[Cell], views: Sequence[Metric] = ()) -> dict[str, dict[str, dict[str, float]]]:
    """{dataset: {method: {metric: mean, n}}}, five digits, without circular metrics, for `dvc metrics diff`; masked: `method
    85%`."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    for cell in cells:
        unique = sum(_called(other) == _called(cell) for other in cells) == 1
        label = " ".join([_called(cell)[0], *(cell[key] for key in (() if unique else ("network", "tap", "size")) if cell[key])])
        headline = MASKED_HEADLINE if cell.ratio else HEADLINE
        numbers = {name: cell.mean(name) for name in headline if not circular(name, cell["network"])}
        if not cell.ratio:
            numbers["psnr_restarts_sd"] = cell.spreads["psnr"]
            if extractor := unseen(cell, views):
                numbers["reid_top1"] = float((cell.values[extractor.name] == 1).mean())
                numbers["reid_match"] = cell.mean(extractor.name.replace(REID, MATCH))
        finite = {name: float(f"{value:.5g}") for name, value in numbers.items() if math.isfinite(value)}
        table.setdefault(cell["dataset"], {})[label] = {**finite, "n": len(cell.ids)}
    return table


def _called(cell: Cell) -> tuple[str, str]:
    """The method's name in the summary, and the dataset."""
    share = f" {100 * float(cell.ratio):g}%" if cell.ratio else ""
    return cell["method"] + share, cell["dataset"]
