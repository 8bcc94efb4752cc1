"""The metrics' direction and range. `pixel`, `perceptual`, `views` and `masked` compute them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from relume.core.errors import UserError, one_of
from relume.losses.config import LPIPS
from relume.networks.catalogue import trunk


@dataclass(frozen=True)
class Metric:
    """One column of `metrics/methods/<group>.csv`: a value per image."""

    name: str
    better: Literal["higher", "lower"]
    low: float
    high: float | None  # None: no bound
    network: str = ""  # that computes the features, if any

    def improves(self, value: float, over: float) -> bool:
        return value > over if self.better == "higher" else value < over


_FACTS = (
    Metric("mse", "lower", 0, 1),  # mean over pixels and channels, RGB in [0, 1]
    Metric("psnr", "higher", 0, 100),  # dB, data range 1, per image; 100 for identical images
    Metric("ssim", "higher", -1, 1),  # Gaussian window 11 (sigma 1.5), valid positions only, mean over RGB; empty under 11 px
    Metric("ms_ssim", "higher", 0, 1),  # five scales, window 11; empty up to 160 px, where the window does not fit
    *(Metric(f"lpips_{name}", "lower", 0, None, network) for name, network in LPIPS.items()),  # v0.1 at native size
    # squared distance at the inverted tap over the mean squared deviation from the dataset's mean feature (1: as bad as that
    # mean), mean over taps: how well features were met, not likeness
    Metric("feature_error", "lower", 0, None),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in _FACTS}

_MASKED = (
    Metric("psnr_masked", "higher", 0, 100),  # over hidden pixels only
    Metric("psnr_pasted", "higher", 0, 100),  # the prediction pasted into what is visible
    Metric("psnr_full", "higher", 0, 100),  # the prediction of the whole image
    Metric("mse_masked", "lower", 0, 1),  # over hidden pixels only
    Metric("ssim_pasted", "higher", -1, 1),
)
MASKED_METRICS: dict[str, Metric] = {metric.name: metric for metric in _MASKED}
OF_MASKED = (*MASKED_METRICS, "lpips_alex", "lpips_vgg")  # metrics of masked groups; LPIPS uses the pasted image
# Metrics by further networks exist only if the parameters name these networks.
CLIP, TOP1, TOP5 = "clip_cosine", "top1_agreement", "top5_agreement"
REID, MATCH = "reid_rank_", "reid_match_"  # prefixes of columns: the rank of the original, and whether the threshold is passed
REID_N, REID_PAIRS = "reid_n", "reid_pairs"  # columns: the number of candidates, and of pairs that set the threshold
FAR = 0.01  # false-accept rate: the share of unrelated pairs that pass the threshold
METHOD = "method"  # kind of rows of sets.csv about reconstructions


def other_tap(network: str, tap: str) -> Metric:
    """feature_error at a given tap of a network."""
    return Metric(f"feature_error_{trunk(network)}_{tap}", "lower", 0, None, network)


def reid(network: str, tap: str) -> Metric:
    """Re-identification: the rank of the original among the candidates by the cosine of centred features, ties against it. The
    candidates are all reid_n originals outside the training split; other crops of one photograph are wrong answers."""
    return Metric(f"{REID}{trunk(network)}_{tap}", "lower", 1, None, network)


def reid_match(network: str, tap: str) -> Metric:
    """Verification: 1 where the cosine to the original is above the threshold that at most FAR of the candidates' pairs from
    different sources pass, else 0; empty under 1 / FAR pairs."""
    return Metric(f"{MATCH}{trunk(network)}_{tap}", "higher", 0, 1, network)


def is_reid(name: str) -> bool:
    return name.startswith((REID, MATCH))


def set_name(row: Mapping[str, str]) -> str:
    """The name of a method at a tap in sets.csv."""
    return f"{row['method']}@{row['network']} {row['tap']}" if row["network"] else row["method"]


def clip_cosine(network: str) -> Metric:
    """The cosine of embeddings."""
    return Metric(CLIP, "higher", -1, 1, network)


def agreements(network: str) -> list[Metric]:
    """1 where the classifier's class of the original is its first, or one of its first five, for the reconstruction."""
    return [Metric(name, "higher", 0, 1, network) for name in (TOP1, TOP5)]


SETS = ("name", "kind", "dataset", "n", "net", "fd", "kid", "kid_lo", "kid_hi")  # columns of set metrics


def metric(name: str) -> Metric:
    known = METRICS | MASKED_METRICS
    if name not in known:
        raise UserError(f"unknown metric {name!r}; {one_of(known, name)}")
    return known[name]


def circular(extractor: str | Metric, inverted: str) -> bool:
    """Whether the metric's network is the inverted one (several are joined by `+`): it then proves nothing about that
    inversion."""
    own = metric(extractor).network if isinstance(extractor, str) else extractor.network
    return bool(own) and trunk(own) in {trunk(network) for network in inverted.split("+")}
