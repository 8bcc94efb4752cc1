"""The metrics' direction, range and protocol. `pixel`, `perceptual`, `views` and `masked` compute them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from relume.core.errors import UserError, one_of
from relume.networks.catalogue import trunk


@dataclass(frozen=True)
class Metric:
    """One column of `metrics/methods/<group>.csv`: a value per image."""

    name: str
    better: Literal["higher", "lower"]
    low: float
    high: float | None  # None: no bound
    protocol: str
    network: str = ""  # that computes the features, if any

    def improves(self, value: float, over: float) -> bool:
        return value > over if self.better == "higher" else value < over


MS_SSIM = "five scales, Gaussian window 11, mean over RGB; empty up to 160 px (the window does not fit)"
LPIPS = "LPIPS v0.1 at native size"
FEATURE_ERROR = (
    "squared distance at the inverted tap over the mean squared deviation from the dataset's mean feature: 1 is as bad as that"
    " mean; several taps are averaged. It tells how well features were met, not likeness"
)
_FACTS = (
    Metric("mse", "lower", 0, 1, "mean over pixels and channels, RGB in [0, 1]"),
    Metric("psnr", "higher", 0, 100, "dB, data range 1, per picture; 100 stands for identical pictures"),
    Metric("ssim", "higher", -1, 1, "Gaussian window 11 (sigma 1.5), valid positions only, mean over RGB; empty under 11 px"),
    Metric("ms_ssim", "higher", 0, 1, MS_SSIM),
    Metric("lpips_alex", "lower", 0, None, LPIPS, "alexnet_conv"),
    Metric("lpips_vgg", "lower", 0, None, LPIPS, "vgg16_conv"),
    Metric("lpips_squeeze", "lower", 0, None, LPIPS, "squeezenet1_1"),
    Metric("feature_error", "lower", 0, None, FEATURE_ERROR),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in _FACTS}

_MASKED = (
    Metric("psnr_masked", "higher", 0, 100, "as psnr, over hidden pixels only"),
    Metric("psnr_pasted", "higher", 0, 100, "as psnr, the prediction pasted into what is visible"),
    Metric("psnr_full", "higher", 0, 100, "as psnr, the prediction of the whole picture"),
    Metric("mse_masked", "lower", 0, 1, "as mse, over hidden pixels only"),
    Metric("ssim_pasted", "higher", -1, 1, "as ssim, pasted"),
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
    protocol = f"squared distance at {network} {tap} over the mean squared deviation from the dataset's mean feature: 1 is as bad"
    return Metric(f"feature_error_{trunk(network)}_{tap}", "lower", 0, None, f"{protocol} as that mean", network)


def reid(network: str, tap: str) -> Metric:
    """Re-identification: the rank of the original among the candidates, by similarity to the reconstruction."""
    protocol = (
        "1 + the number of other candidates that lie no farther from the reconstruction than its original: 1 is found, a"
        f" tie is not. Distance: 1 - cosine of features at {network} {tap} less the candidates' mean feature. Candidates: all"
        " reid_n originals of the dataset outside its training split, other crops of the same photograph among them; these are"
        " wrong answers. Chance finds 1 in reid_n"
    )
    return Metric(f"{REID}{trunk(network)}_{tap}", "lower", 1, None, protocol, network)


def reid_match(network: str, tap: str) -> Metric:
    """Verification: is the reconstruction more like its original than unrelated pictures are like each other?"""
    protocol = (
        f"1 where the cosine to the original, as for {REID}{trunk(network)}_{tap}, is above the threshold that at most {FAR:.0%}"
        f" of the {REID_PAIRS} pairs of candidates from different sources pass (the false-accept rate), else 0; empty under"
        f" {1 / FAR:.0f} pairs. A rate of 0.1 % would need 1,000"
    )
    return Metric(f"{MATCH}{trunk(network)}_{tap}", "higher", 0, 1, protocol, network)


def is_reid(name: str) -> bool:
    return name.startswith((REID, MATCH))


def set_name(row: Mapping[str, str]) -> str:
    """The name of a method at a tap in sets.csv."""
    return f"{row['method']}@{row['network']} {row['tap']}" if row["network"] else row["method"]


def clip_cosine(network: str) -> Metric:
    return Metric(CLIP, "higher", -1, 1, f"cosine of {network} embeddings", network)


def agreements(network: str) -> list[Metric]:
    """Top-1 and top-5: is the class that the classifier names for the original among its first for the reconstruction?"""
    protocol = f"1 where the class that {network} names for the original is among its {{}} for the reconstruction, else 0"
    firsts = ((TOP1, "first"), (TOP5, "first five"))
    return [Metric(name, "higher", 0, 1, protocol.format(first), network) for name, first in firsts]


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
