"""What the tables' columns mean to a reader: title, which way is better, digits, one sentence. Unknown ones show as they are."""

import math
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
    says: str = ""
    judge: str = ""  # the network that measures, if any
    text: bool = False
    optional: bool = True  # left out where no row has a value

    @property
    def arrow(self) -> str:
        return {"higher": "↑", "lower": "↓", "": ""}[self.better]

    def show(self, cell: str) -> str:
        """A cell of the file, to be read by people; what is not applicable stays empty."""
        value = number(cell)
        if value is None or self.text:
            return cell
        if self.name == "seconds_per_image":
            return f"{value:.2g}" if value < 100 else f"{value:.0f}"
        return f"{value:,.0f}" if self.name == "parameters" else signed(value, self.digits)


def number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def signed(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", MINUS)


_ALL = (
    Column(name="method", title="Method", text=True, optional=False),
    Column(name="tap", title="Tap", text=True, says="the layer whose features were inverted"),
    Column(
        name="psnr",
        title="PSNR, dB",
        better="higher",
        digits=2,
        unit="dB",
        optional=False,
        says="likeness of pixels, mean over pictures; three decibels halve the squared error",
    ),
    Column(name="ssim", title="SSIM", better="higher", says="likeness of local structure; 1 is the picture itself"),
    Column(name="ms_ssim", title="MS-SSIM", better="higher", says="SSIM over five scales; wants more than 160 pixels"),
    Column(
        name="lpips_alex",
        title="LPIPS alex",
        better="lower",
        judge="alexnet",
        says="distance as people see it, judged by AlexNet; 0 is the picture itself",
    ),
    Column(
        name="lpips_vgg",
        title="LPIPS vgg",
        better="lower",
        judge="vgg16",
        says="distance as people see it, judged by VGG16; 0 is the picture itself",
    ),
    Column(
        name="feature_error",
        title="Feature error",
        better="lower",
        says="distance to the features asked for; 1 is as bad as the dataset's mean feature",
    ),
    Column(
        name="reid_top1",
        title="Re-identified",
        better="higher",
        says="share of reconstructions that find their original among held-out candidates",
    ),
    Column(name="reid_net", title="by", text=True, says="the network that re-identifies"),
    Column(name="reid_n", title="among", digits=0, says="candidates"),
    Column(name="fd_net", title="FD network", text=True),
    Column(name="fd", title="FD", better="lower", digits=2, says="Frechet distance of the sets of pictures; biased in n"),
    Column(name="kid", title="KID", better="lower", digits=4, says="kernel distance of the sets of pictures"),
    Column(name="n", title="n", digits=0, optional=False, says="pictures"),
    Column(
        name="sources",
        title="Sources",
        digits=0,
        optional=False,
        says="photographs that the pictures were cut from; crops of one are not independent",
    ),
    Column(name="network", title="Network", text=True, says="whose features were inverted"),
    Column(
        name="seconds_per_image",
        title="s / picture",
        better="lower",
        unit="s",
        says="measured on the device named; depends on what else it did",
    ),
    Column(name="device", title="Device", text=True),
    Column(name="mse", title="MSE", better="lower", digits=4, says="mean squared error, RGB in 0 to 1"),
    Column(name="mask_ratio", title="Masked share", digits=2),
    Column(name="psnr_masked", title="PSNR masked, dB", better="higher", digits=2, unit="dB", says="on masked pixels only"),
    Column(name="psnr_pasted", title="PSNR pasted, dB", better="higher", digits=2, unit="dB", says="visible pixels pasted in"),
    Column(name="psnr_full", title="PSNR full, dB", better="higher", digits=2, unit="dB", says="the prediction as it is"),
    Column(name="mse_masked", title="MSE masked", better="lower", digits=4),
    Column(name="ssim_pasted", title="SSIM pasted", better="higher"),
    Column(name="probe_top1", title="Linear probe", better="higher", says="share of labels right from frozen features"),
    Column(name="knn_top1", title="k-NN", better="higher", says="likewise, by the nearest neighbours"),
    Column(
        name="clip_cosine",
        title="CLIP",
        better="higher",
        judge="clip",
        says="cosine of CLIP's embeddings; 1 is the same",
    ),
    Column(
        name="top1_agreement",
        title="Same class",
        better="higher",
        says="share of pictures that an independent classifier gives the class of their original",
    ),
    Column(name="parameters", title="Parameters", digits=0),
)
OTHER = "feature_error_"  # <network>_<tap> follows
RANK = "reid_rank_"  # and of where the original stands among the candidates
COLUMNS = {column.name: column for column in _ALL}
LEADERBOARD = tuple(COLUMNS[name] for name in [column.name for column in _ALL][: list(COLUMNS).index("device") + 1])


def column(name: str) -> Column:
    """A known column, what another network sees at a tap of its own, or one that shows as it is."""
    place = name.removeprefix(OTHER)
    if name.startswith(OTHER) and name not in COLUMNS:
        says = f"distance to the original's features at {place}; 1 is as bad as the mean feature there"
        return Column(name=name, title=f"Feature error {place}", better="lower", judge=place, says=says)
    if name.startswith(RANK):
        place = name.removeprefix(RANK)
        says = f"the original's rank among the candidates likest the reconstruction, as {place} sees them; 1 is found"
        return Column(name=name, title=f"Rank by {place}", better="lower", judge=place, says=says)
    return COLUMNS.get(name) or Column(name=name, title=name.replace("_", " "))


def circular(judge: Column, inverted: str) -> bool:
    """Does this metric see with the network that was inverted? Then it proves nothing about that inversion."""
    trunks = [name.removesuffix("_conv") for name in inverted.split("+")]
    return bool(judge.judge) and any(name == judge.judge or judge.judge.startswith(f"{name}_") for name in trunks if name)
