"""What the views of section `evaluate` need of other sections: networks fetched, taps that exist, scales measured."""

from collections.abc import Iterable, Mapping
from typing import Any

from relume.core.errors import UserError, one_of
from relume.networks.catalogue import check_tap


def between(built: Mapping[str, Any]) -> Iterable[str]:
    evaluate, fetched, extracted = built["evaluate"], built["weights"].networks, built["extract"]
    asked = [("other_taps", place) for place in evaluate.other_taps]
    asked += [("clip", place) for place in evaluate.clip_place] + [("classifier", place) for place in evaluate.classifier_place]
    asked += [("reid.judges", place) for place in (evaluate.reid.judges if evaluate.reid else ())]
    for key, (network, tap) in asked:
        try:
            check_tap(network, tap)
        except UserError as error:
            yield f"evaluate.{key}: {error}"
        if network not in fetched:
            yield f"evaluate.{key}: {network!r} is not in weights.networks; {one_of(fetched, network)}"
        if key == "other_taps" and network not in extracted.networks:
            yield f"evaluate.{key}: {network!r} is not in extract.networks; {one_of(extracted.networks, network)}"
    if evaluate.other_taps and built["floors"].dataset not in extracted.datasets:
        yield f"evaluate.other_taps: {built['floors'].dataset} is not in extract.datasets, so that its features have no scale"
