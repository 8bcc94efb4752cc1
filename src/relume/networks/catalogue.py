"""Every network by name, with its declared facts, and every set of weights. No torch here: parameters are checked against it."""

from relume.core.errors import UserError, one_of
from relume.networks import convolutional, openclip, residual
from relume.networks.facts import Facts, Place, Tap, output
from relume.networks.pins import PINS

__all__ = [
    "HEADS",
    "NETWORKS",
    "PINS",
    "WEIGHTS",
    "Facts",
    "Place",
    "Tap",
    "check_network",
    "check_tap",
    "check_weights",
    "facts",
]

IDENTITY = Facts(
    name="identity",
    builder="identity",
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    min_size=1,
    taps={"pixels": output("", 3, 1)},
    variant="the picture itself, no weights",
    licence="none",
)
NETWORKS: dict[str, Facts] = {
    entry.name: entry
    for entry in [*convolutional.networks(), *residual.networks(), *map(openclip.facts, openclip.SHORT), IDENTITY]
}
HEADS = ("lpips_alex", "lpips_vgg", "lpips_squeeze")  # LPIPS's linear heads: weights without a network
WEIGHTS = (*NETWORKS, *HEADS)


def facts(name: str) -> Facts:
    """The facts of a network here, or of any open_clip "<model>/<tag>"."""
    if name in NETWORKS:
        return NETWORKS[name]
    if openclip.is_clip(name):
        return openclip.facts(name)
    raise UserError(f"networks: unknown network {name!r}; {one_of(NETWORKS, name)}, or open_clip's <model>/<tag>")


def check_network(name: str) -> None:
    facts(name)


def check_weights(name: str) -> None:
    """A network's name, or that of LPIPS's heads."""
    if name not in WEIGHTS and not openclip.is_clip(name):
        raise UserError(f"networks: unknown network {name!r}; {one_of(WEIGHTS, name)}, or open_clip's <model>/<tag>")
    if name not in HEADS:
        facts(name)


def check_tap(network: str | Facts, tap: str) -> Tap:
    """The tap, or an error that lists those there are."""
    known = network if isinstance(network, Facts) else facts(network)
    if tap not in known.taps:
        raise UserError(f"{known.name} has no tap {tap!r}; {one_of(known.taps, tap)}")
    return known.taps[tap]
