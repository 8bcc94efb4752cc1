"""Measure defences of stored features: re-identification and retrieval with noise and quantisation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from relume.core.files import read_json, write_csv
from relume.core.run import Run
from relume.core.runtime import deterministic, device_of
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.evaluation.config import Defend, Evaluate, Place
from relume.evaluation.defences import DEFENCES, Bench, Stored, study
from relume.evaluation.perceptual import extractor
from relume.evaluation.seen import Witness
from relume.evaluation.statistics import Draws
from relume.methods.decoder.infer import apply
from relume.methods.decoder.model import TrainedDecoder, read_decoder
from relume.networks.catalogue import trunk
from relume.networks.weights import WeightStore


@stage("defend")
def main(
    context: StageContext,
    images: Annotated[Path, "The dataset whose features are stored."],
    weights: Annotated[tuple[Path, ...], "Folders of networks; repeat."],
    models: Annotated[tuple[Path, ...], "Folders of decoders; the first of a tap is used."],
    out: Annotated[Path, "Table to write."],
) -> None:
    run, config, evaluate = context.section(Run, "run"), context.section(Defend, "defend"), context.section(Evaluate, "evaluate")
    draws = Draws(seed=run.seed, resamples=context.plain("compare.resamples"), level=context.plain("compare.level"))
    deterministic()
    device, others = device_of(run), evaluate.reid.networks if evaluate.reid else ()
    dataset, cards = Dataset.open(images), [card for folder in models for card in sorted(folder.glob("*/model.json"))]
    fitting = [card.parent for card in cards if read_json(card)["size"] == dataset.size]
    decoders = [read_decoder(folder, device) for folder in fitting]
    subjects = [stored(place, decoders, others, models[0].parent) for place in config.embeddings]
    views = {place: None for one in subjects for place in (one.place, one.extractor) if place}
    bench = Bench(
        dataset=dataset,
        config=config,
        extractor=extractor((), [], WeightStore(*weights), device, views=views),
        candidates=evaluate.reid.candidates if evaluate.reid else None,
        draws=draws,
        seed=run.seed,
        micro_batch=run.micro_batch,
        device=device,
    )
    write_csv(out, DEFENCES, [row for one in subjects for row in study(one, bench)])


def stored(place: Place, decoders: Sequence[TrainedDecoder], others: Sequence[Place], models: Path) -> Stored:
    """With the first decoder of the same tap, and the first network of `others` that it has not used."""
    found = next((one for one in decoders if (one.network, one.taps) == (place[0], (place[1],))), None)
    if found is None:
        return Stored(place=place)
    seen = Witness(methods={found.name: {}}, rows={found.name: [(found.name, *place)]}, models=models).seen(
        found.name, found.name
    )
    other = next((other for other in others if trunk(other[0]) not in seen), None)
    return Stored(
        place=place, decoder=found.name, decode=lambda features: apply(found, {found.taps[0]: features}), extractor=other
    )


if __name__ == "__main__":
    main()
