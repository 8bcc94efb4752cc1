"""Metrics of intermediate images: means over images at some steps; methods of a single pass have one row, step 1."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from relume.core.errors import UserError
from relume.core.results import PATH_ROWS, Descent, Group
from relume.evaluation.config import PATHS
from relume.evaluation.scoring import Scorer, score

_OF_METHOD = PATHS[: PATHS.index("step")]

Scores = Mapping[str, object]


def path_rows(
    group: Group, descent: Descent, scored: Sequence[Scores], scorer: Scorer, metrics: Sequence[str]
) -> list[dict[str, object]]:
    """Rows of PATHS, method after method in the group's order. `scored`: the result of `score` for the group."""
    if not metrics:
        return []
    intermediate = _as_group(group, descent)
    passed = score(intermediate, replace(scorer, scales={}, metrics=metrics, views={}))
    moving = dict.fromkeys(row["method"] for row in intermediate.index)
    selected = [line for line, row in zip(scored, group.index, strict=True) if row["selected"] == "true"]
    points: dict[tuple[object, int], list[Scores]] = defaultdict(list)
    for line, row in zip(passed, descent.rows, strict=True):
        points[line["method"], int(str(row["step"]))].append(line)
    for one in selected:
        if one["method"] not in moving:
            points[one["method"], 1].append(one)
    order = list(dict.fromkeys(row["method"] for row in group.index))
    return [
        _means(points[method, step], step, metrics)
        for method, step in sorted(points, key=lambda point: (order.index(str(point[0])), point[1]))
    ]


def _as_group(group: Group, descent: Descent) -> Group:
    """The intermediate images with the index rows of the final ones; the column `restart` has the step."""
    became = {(row["method"], row["id"]): row for row in group.index if row["selected"] == "true"}
    keys = [(str(row["method"]), str(row["id"])) for row in descent.rows]
    foreign = [key for key in keys if key not in became]
    if foreign:
        raise UserError(f"{group.folder / PATH_ROWS}: {' '.join(foreign[0])} is not in index.csv: run its stage again")
    index = [{**became[key], "restart": str(row["step"])} for key, row in zip(keys, descent.rows, strict=True)]
    return replace(group, images=descent.images, index=index)


def _means(lines: Sequence[Scores], step: int, metrics: Sequence[str]) -> dict[str, object]:
    means = {name: sum(float(str(line[name])) for line in lines) / len(lines) for name in metrics}
    return {**{key: lines[0][key] for key in _OF_METHOD}, "step": step, "n": len(lines), **means}
