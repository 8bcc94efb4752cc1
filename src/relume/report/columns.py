"""What the tables' columns mean to a reader: title, direction, digits, one sentence. Unknown columns are shown as they are."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, kw_only=True)
class Column:
    name: str
    title: str
    better: Literal["higher", "lower", ""] = ""
    digits: int = 3
    unit: str = ""
    description: str = ""
    metric_network: str = ""  # the network that computes the metric, if any
    text: bool = False
    optional: bool = True  # left out where no row has a value

    @property
    def arrow(self) -> str:
        return {"higher": "↑", "lower": "↓", "": ""}[self.better]

    @property
    def heading(self) -> str:
        return f"{self.title} {self.arrow}".strip()

    @property
    def first_order(self) -> str:
        """The direction in which a table is sorted first."""
        return "ascending" if self.text or self.better == "lower" else "descending"

    def show(self, cell: str | float) -> str:
        """A cell of the file as text for people. A missing value stays empty."""
        value = number(str(cell))
        if value is None or self.text:
            return str(cell)
        if self.name == "seconds_per_image":
            return f"{value:.2g}" if value < 100 else f"{value:.0f}"
        return f"{value:,.0f}" if self.name == "parameters" else signed(value, self.digits)

    def interval(self, cells: Mapping[str, str]) -> str:
        """The row's interval of this column as text; empty where the row has none."""
        lo, hi = (cells.get(f"{self.name}_{end}", "") for end in ("lo", "hi"))
        return f"{self.show(lo)} to {self.show(hi)}" if lo and hi else ""


def number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def signed(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", MINUS)


def _text(name: str, title: str, description: str = "", *, optional: bool = True) -> Column:
    return Column(name=name, title=title, description=description, text=True, optional=optional)


def _higher(name: str, title: str, description: str, digits: int = 3, unit: str = "", net: str = "") -> Column:
    return Column(name=name, title=title, better="higher", digits=digits, unit=unit, description=description, metric_network=net)


def _lower(name: str, title: str, description: str, digits: int = 3, unit: str = "", net: str = "") -> Column:
    return Column(name=name, title=title, better="lower", digits=digits, unit=unit, description=description, metric_network=net)


_LEADERBOARD = (
    _text("method", "Method", optional=False),
    _text("tap", "Tap", "the layer whose features were inverted"),
    Column(
        name="psnr",
        title="PSNR, dB",
        better="higher",
        digits=2,
        unit="dB",
        optional=False,
        description="peak signal-to-noise ratio, mean over images; 3 dB more is half the squared error",
    ),
    _higher("ssim", "SSIM", "structural similarity; 1 means identical"),
    _higher("ms_ssim", "MS-SSIM", "SSIM over five scales; needs more than 160 pixels"),
    _lower("lpips_alex", "LPIPS alex", "learned perceptual distance, computed with AlexNet; 0 means identical", net="alexnet"),
    _lower("lpips_vgg", "LPIPS vgg", "learned perceptual distance, computed with VGG16; 0 means identical", net="vgg16"),
    _lower("feature_error", "Feature error", "distance to the target features; 1 is the error of the dataset's mean feature"),
    _higher("reid_top1", "Re-identified", "share of reconstructions whose nearest held-out candidate is their original (top-1)"),
    _text("reid_net", "by", "the network used for re-identification"),
    Column(name="reid_n", title="among", digits=0, description="number of candidates"),
    _text("fd_net", "FD network"),
    _lower("fd", "FD", "Frechet distance between the sets of images; biased, depends on n", digits=2),
    _lower("kid", "KID", "kernel inception distance between the sets of images", digits=4),
    Column(name="n", title="n", digits=0, optional=False, description="number of images"),
    Column(
        name="sources",
        title="Sources",
        digits=0,
        optional=False,
        description="photographs that the images were cropped from; crops of one photograph are not independent",
    ),
    _text("network", "Network", "the network whose features were inverted"),
    _lower("seconds_per_image", "s / image", "measured on the named device; depends on its load", unit="s"),
    _text("device", "Device"),
)
_OTHERS = (
    _lower("mse", "MSE", "mean squared error, RGB in 0 to 1", digits=4),
    Column(name="mask_ratio", title="Mask ratio", digits=2),
    _higher("psnr_masked", "PSNR masked, dB", "on masked pixels only", digits=2, unit="dB"),
    _higher("psnr_pasted", "PSNR pasted, dB", "of the prediction with the visible pixels pasted in", digits=2, unit="dB"),
    _higher("psnr_full", "PSNR full, dB", "of the whole prediction", digits=2, unit="dB"),
    _lower("mse_masked", "MSE masked", "", digits=4),
    _higher("ssim_pasted", "SSIM pasted", ""),
    _higher("probe_top1", "Linear probe", "top-1 accuracy of a linear classifier on frozen features"),
    _higher("knn_top1", "k-NN", "top-1 accuracy of nearest neighbours on frozen features"),
    _higher("clip_cosine", "CLIP", "cosine similarity of CLIP embeddings; 1 means the same", net="clip"),
    _higher("top1_agreement", "Same class", "share of images that an independent classifier puts in the class of their original"),
    Column(name="parameters", title="Parameters", digits=0),
)
OTHER = "feature_error_"  # <network>_<tap> follows
RANK = "reid_rank_"  # the network that ranks follows
COLUMNS = {column.name: column for column in (*_LEADERBOARD, *_OTHERS)}
LEADERBOARD = _LEADERBOARD


def column(name: str) -> Column:
    """A known column, a feature error or a rank of another network, or a column shown as it is."""
    if name in COLUMNS:
        return COLUMNS[name]
    if name.startswith(OTHER):
        place = name.removeprefix(OTHER)
        description = f"distance to the original's features at {place}; 1 is the error of the mean feature there"
        return _lower(name, f"Feature error {place}", description, net=place)
    if name.startswith(RANK):
        place = name.removeprefix(RANK)
        description = f"rank of the original among the candidates most similar to the reconstruction in {place}; 1 is top-1"
        return _lower(name, f"Rank by {place}", description, net=place)
    return Column(name=name, title=name.replace("_", " "))


def circular(metric: Column, inverted: str) -> bool:
    """Whether the metric network is the network that was inverted. Such a score is no evidence."""
    net = metric.metric_network
    trunks = [name.removesuffix("_conv") for name in inverted.split("+")]
    return bool(net) and any(name == net or net.startswith(f"{name}_") for name in trunks if name)
