"""Descents in a generator's latent space in the report: loss over steps and seconds, with and without a learned landscape."""

from collections.abc import Iterator

from relume.core.files import read_csv
from relume.core.results import Group
from relume.report.blocks import Block, Chart, Part, Text
from relume.report.charts import lines
from relume.report.columns import number, short
from relume.report.data import Table
from relume.report.images import Drawing
from relume.report.labels import words

CURVES = "curves.csv"  # the file of groups of this family
COLUMNS = ("group", "method", "step", "seconds", "loss", "lo", "hi")  # of `landscape.csv`, for plots
LEAD = (
    "Gradient descent searches a generator's latents for a given picture. It descends in the latent space itself, or through a"
    " learned landscape (landscape learning, Liu et al. 2022), from random latents or from a mapper's latent."
)


def parts(drawing: Drawing) -> Iterator[Part]:
    groups = [group for group in drawing.data.groups if (group.folder / CURVES).exists()]
    blocks = [block for group in groups for block in _group(group)]
    found = [row for group in groups for row in rows(group)]
    yield Part(
        id="landscape", title="Descents in a latent space", lead=LEAD, blocks=blocks, tables={"landscape": (COLUMNS, found)}
    )


def rows(group: Group) -> list[dict[str, object]]:
    """The lowest loss so far, mean over images and seeds; seconds are per image and start."""
    table = read_csv(group.folder / CURVES)
    spent = {(row["method"], row["step"]): float(row["seconds"]) for row in group.timing}
    seeds: dict[str, set[str]] = {}
    for row in table:
        seeds.setdefault(row["method"], set()).add(row["seed"])
    return [
        {
            **{"group": group.name, "method": row["method"], "step": int(row["step"]), "loss": float(row["value"])},
            "seconds": spent[row["method"], row["step"]] / ((len(seeds[row["method"]]) - 1) * int(row["n"])),
            **{end: number(row[end]) for end in ("lo", "hi")},
        }
        for row in table
        if row["seed"] == ""
    ]


def _group(group: Group) -> Iterator[Block]:
    first: Table = read_csv(group.folder / CURVES)[:1]
    found = [row | {"name": words(str(row["method"]))} for row in rows(group)]
    names = list(dict.fromkeys(str(row["name"]) for row in found))
    yield Text(sentences=sentences({name: [row for row in found if row["name"] == name] for name in names}))
    interval = (
        f" and its {float(first[0]['level']):.0%} interval over {first[0]['sources']} sources" if first[0]["sources"] else ""
    )
    for over, unit in (("step", "steps"), ("seconds", "seconds per picture and start")):
        spec = lines(found, over, "loss", order=names, titles=(unit, "loss, lower is better"), band=bool(interval))
        caption = f"The lowest loss so far over {unit}: the mean over {first[0]['n']} pictures and all starts{interval}."
        yield Chart(title=f"Loss over {unit}", spec=spec, caption=caption, height=280)


def sentences(curves: dict[str, list[dict[str, object]]]) -> list[str]:
    """The final loss of each method, and after how many steps the first method reaches the loss of the others."""
    (first, base), *others = curves.items()
    texts = [f"{first} reaches a loss of {short(_loss(base[-1]), 3)} in {base[-1]['step']} steps."]
    for name, steps in others:
        far = next((row["step"] for row in base if _loss(row) <= _loss(steps[-1])), None)
        needs = f"{first} does not reach it in {base[-1]['step']} steps" if far is None else f"{first} needs {far} steps for it"
        texts.append(f"{name} reaches {short(_loss(steps[-1]), 3)} in {steps[-1]['step']} steps; {needs}.")
    return texts


def _loss(row: dict[str, object]) -> float:
    return float(str(row["loss"]))
