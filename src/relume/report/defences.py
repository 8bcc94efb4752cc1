"""Cost and benefit of noise and quantisation of stored features: a chart per network and tap."""

from relume.report.blocks import Chart, Part, Text
from relume.report.charts import BESIDE, taps
from relume.report.columns import number
from relume.report.data import Table, grouped
from relume.report.depths import BOUND
from relume.report.labels import place

MEASURES = {"embedding": "re-identified by features", "retrieval": "retrieval", "picture": "re-identified by pictures"}
ENDS = ("value", "lo", "hi")
COST = 0.05  # largest loss of retrieval that counts as cheap
LEAD = "For privacy engineers: noise on stored features, and fewer bits for each number."
READ = (
    "A defence stores each number in fewer bits, or adds noise (in standard deviations of a feature). It saves where"
    " re-identification falls, and costs where retrieval falls. By features: whoever has the network and the candidates compares"
    " features, and needs no reconstruction. By pictures: a decoder's reconstruction is re-identified. Retrieval: the nearest"
    f" other stored picture has the label of the one asked for. {BOUND}"
)


def part(rows: Table, level: str) -> Part | None:
    found = {place(*key): own for key, own in grouped(rows, lambda row: (row["network"], row["tap"])).items()}
    charts = [_chart(name, own, level) for name, own in found.items()]
    texts = [Text(sentences=[READ]), Text(sentences=[_finding(name, own) for name, own in found.items()])]
    return Part(id="defences", title="What a defence costs and saves", lead=LEAD, blocks=[*texts, *charts]) if rows else None


def _chart(name: str, rows: Table, level: str) -> Chart:
    ordered = sorted(rows, key=lambda row: (row["defence"] == "noise", row["defence"] != "bits", float(row["strength"])))
    points = [
        {"tap": _defence(row), "name": MEASURES[row["measure"]], "joined": True} | {end: number(row[end]) for end in ENDS}
        for row in ordered
    ]
    order, used = (list(dict.fromkeys(str(point[key]) for point in points)) for key in ("tap", "name"))
    names = {one: one for one in MEASURES.values() if one in used}
    spec = taps(points, "value", order=order, names=names, title="share of pictures", format=".0%", domain=[0, 1])
    counts = {f"n = {row['n']}, chance {float(row['chance']):.1%}": row["measure"] for row in rows}
    told = "; ".join(f"{'retrieval' if measure == 'retrieval' else 'Re-identified'}: {text}" for text, measure in counts.items())
    return Chart(title=f"{name}, defended", spec=spec, caption=f"{told}; {level} intervals. {BESIDE}".strip())


def _defence(row: dict[str, str]) -> str:
    strength = f"{float(row['strength']):g}"
    return {"none": "none", "noise": f"noise {strength}", "bits": f"{strength} bit{'s' * (strength != '1')}"}[row["defence"]]


def _finding(name: str, rows: Table) -> str:
    """The defence with the least re-identification whose retrieval loss is at most COST."""
    shares = {kind: {row["measure"]: float(row["value"]) for row in own} for kind, own in grouped(rows, _defence).items()}
    none, attacks = shares["none"], [one for one in MEASURES if one != "retrieval" and one in shares["none"]]
    cheap = [kind for kind, own in shares.items() if own["retrieval"] >= none["retrieval"] - COST]
    best = min(cheap, key=lambda kind: sum(shares[kind][one] for one in attacks))
    left = ", ".join(f"{MEASURES[one]} {shares[best][one]:.0%} (undefended: {none[one]:.0%})" for one in attacks)
    said = "no defence saves anything" if shares[best] == none or best == "none" else f"{best} saves most"
    return f"{name}: {said} at a cost of at most {100 * COST:.0f} points of retrieval: {left}."
