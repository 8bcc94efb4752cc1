"""What the tables' columns mean to a reader: title, direction, digits, one sentence. Unknown columns are shown as they are."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from relume.report import labels

MINUS = "\N{MINUS SIGN}"
CLASSIFIER = "classifier"  # of the parameters, in every row of the leaderboard
NETWORKS = ("network", "reid_net", "fd_net", "net", CLASSIFIER)  # columns with keys of networks
OTHER, RANK, MATCH = "feature_error_", "reid_rank_", "reid_match_"  # <network>_<tap> follows


@dataclass(frozen=True, kw_only=True)
class Column:
    name: str
    title: str
    better: Literal["higher", "lower", ""] = ""
    digits: int = 3
    unit: str = ""
    description: str = ""
    metric_network: str = ""  # the network that computes the metric, or the column that names it, if any
    text: bool = False
    share: bool = False  # 0 to 1, shown in percent
    optional: bool = True  # left out where no row has a value

    @property
    def heading(self) -> str:
        return f"{self.title} {({'higher': '↑', 'lower': '↓'}).get(self.better, '')}".strip()

    @property
    def first_order(self) -> str:
        """The direction in which a table is sorted first."""
        return "ascending" if self.text or self.better == "lower" else "descending"

    def show(self, cell: str | float) -> str:
        """A cell of the file as text for people. A missing value stays empty."""
        value = number(str(cell))
        if value is None or self.text:
            return labels.network(str(cell)) if self.name in NETWORKS else str(cell)
        if self.unit == "s":
            return "<0.001" if value < 1e-3 else f"{value:.2g}" if value < 100 else f"{value:.0f}"
        if self.share:
            return f"{value:.0%}"
        return f"{value:,.0f}" if self.digits == 0 else signed(value, self.digits)

    def circular(self, cells: Mapping[str, str]) -> bool:
        """Whether the metric network is the network that was inverted. Such a score is no evidence."""
        trunks = [name.removesuffix("_conv") for name in cells.get("network", "").split("+") if name]
        network = cells.get(self.metric_network, self.metric_network)
        return any(network == name or network.startswith(f"{name}_") for name in trunks)

    def interval(self, cells: Mapping[str, str]) -> str:
        """The row's interval of this column as text; empty where it has none, or one without width."""
        lo, hi = (cells.get(f"{self.name}_{end}", "") for end in ("lo", "hi"))
        return f"{self.show(lo)} to {self.show(hi)}" if lo != hi else ""


def number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def signed(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", MINUS)


def short(value: float | str, digits: int = 2) -> str:
    value = float(value)
    text = f"{value:.{digits}g}"
    plain = f"{value:.0f}" if "e+" in text and abs(value) < 1e6 else text
    return plain.replace("-", MINUS)


def text(name: str, title: str, description: str = "", optional: bool = True) -> Column:
    return Column(name=name, title=title, description=description, text=True, optional=optional)


def _count(name: str, title: str, description: str = "", optional: bool = True) -> Column:
    return Column(name=name, title=title, digits=0, description=description, optional=optional)


def _up(name: str, title: str, description: str = "", digits: int = 3, **more: Any) -> Column:
    return Column(name=name, title=title, better="higher", digits=digits, description=description, **more)


def _down(name: str, title: str, description: str = "", digits: int = 3, **more: Any) -> Column:
    return Column(name=name, title=title, better="lower", digits=digits, description=description, **more)


LEADERBOARD = (
    text("method", "Method", optional=False),
    text("tap", "Tap", "the layer whose features were inverted"),
    _up("psnr", "PSNR, dB", "peak signal-to-noise ratio, mean over pictures; 3 dB more is half the squared error", 2, unit="dB"),
    _up("ssim", "SSIM", "structural similarity; 1 means identical"),
    _up("ms_ssim", "MS-SSIM", "SSIM over five scales; needs more than 160 pixels"),
    _down(
        "lpips_alex",
        "LPIPS AlexNet",
        "learned perceptual distance, computed with AlexNet; 0 means identical",
        metric_network="alexnet",
    ),
    _down(
        "lpips_vgg", "LPIPS VGG16", "learned perceptual distance, computed with VGG16; 0 means identical", metric_network="vgg16"
    ),
    _down("feature_error", "Feature error", "distance to the target features; 1 is the error of the dataset's mean feature"),
    _up("reid_top1", "Re-identified", "share of pictures whose nearest held-out candidate is their original (top-1)", share=True),
    text("reid_net", "Re-identified by", "the network used for re-identification"),
    _up(
        "reid_match", "Matched, FAR 1%", "share of pictures that pass for their original at a false-accept rate of 1%", share=True
    ),
    _count("reid_n", "Candidates", "number of pictures among which the original is looked for"),
    _count("reid_pairs", "Unrelated pairs", "pairs of candidates from different sources, at most 1% of which match"),
    text("fd_net", "FD network"),
    _down("fd", "FD", "Frechet distance between the sets of pictures; biased, depends on n", 2, metric_network="fd_net"),
    _down("kid", "KID", "kernel inception distance between the sets of pictures", 4, metric_network="fd_net"),
    _count("n", "n", "number of pictures", optional=False),
    _count("sources", "Sources", "photographs that the pictures were cropped from; crops of one are not independent"),
    text("network", "Network", "the network whose features were inverted"),
    _down("seconds_per_image", "s / picture", "measured on the named device; depends on its load", unit="s"),
    text("device", "Device"),
)
_OTHERS = (
    _down("mse", "MSE", "mean squared error, RGB in 0 to 1", 4),
    *(text("dataset", "Dataset"), text("name", "Set"), text("kind", "Kind"), text("net", "Embedded by")),
    _down("lpips_squeeze", "LPIPS SqueezeNet", metric_network="squeezenet"),
    Column(name="psnr_restarts_sd", title="PSNR, sd over restarts"),
    _count("size", "Size, px"),
    Column(name="mask_ratio", title="Mask ratio", digits=2),
    _up("psnr_masked", "PSNR hidden, dB", "on hidden pixels only", 2, unit="dB"),
    _up("psnr_pasted", "PSNR pasted, dB", "of the prediction with the visible pixels pasted in", 2, unit="dB"),
    _up("psnr_full", "PSNR full, dB", "of the whole prediction", 2, unit="dB"),
    _down("mse_masked", "MSE hidden", digits=4),
    _up("ssim_pasted", "SSIM pasted"),
    _up("probe_top1", "Linear probe", "top-1 accuracy of a linear classifier on frozen features", share=True),
    _up("knn_top1", "k-NN", "top-1 accuracy of nearest neighbours on frozen features", share=True),
    _up("clip_cosine", "CLIP", "cosine similarity of CLIP embeddings; 1 means the same", metric_network="clip"),
    *(
        _up(name, title, f"share of pictures {which}", share=True, metric_network=CLASSIFIER)
        for name, title, which in (
            ("top1_agreement", "Same class", "that a classifier puts in the class of their original"),
            ("top5_agreement", "In top 5", "whose original's class is among a classifier's first five"),
        )
    ),
    text(CLASSIFIER, "Classifier", "the network that tells the class of a picture"),
    _count("parameters", "Parameters"),
)
COLUMNS = {column.name: column for column in (*LEADERBOARD, *_OTHERS)}


def column(name: str) -> Column:
    """A known column, a feature error or a rank of another network, or a column shown as it is."""
    if name in COLUMNS:
        return COLUMNS[name]
    for start, title, description, make in (
        (
            OTHER,
            "Feature error",
            "distance to the original's features in this network; 1 is the error of the mean feature",
            _down,
        ),
        (RANK, "Rank by", "rank of the original among the candidates most similar to the picture in this network", _down),
        (MATCH, "Match by", "share of pictures that pass for their original, by this network", _up),
    ):
        if name.startswith(start):
            place = name.removeprefix(start)
            return make(name, f"{title} {labels.network(place)}", description, metric_network=place)
    return Column(name=name, title=labels.words(name))
