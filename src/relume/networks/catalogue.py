"""All networks with their facts, and all sets of weights, by name. Does not import torch: parameter checks use it."""

from relume.core.errors import UserError, one_of
from relume.networks import convolutional, openclip
from relume.networks.facts import Facts, Tap, output

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
    entry.name: entry for entry in [*convolutional.networks(), *map(openclip.facts, openclip.SHORT), IDENTITY]
}
DECLARED: dict[str, Facts] = {}  # user-defined networks of section `networks`; `params.check` fills it first
HEADS = ("lpips_alex", "lpips_vgg", "lpips_squeeze")  # LPIPS's linear heads: weights without a network
WEIGHTS = (*NETWORKS, *HEADS)


def facts(name: str, also: tuple[str, ...] = ()) -> Facts:
    """The facts of a network in NETWORKS or DECLARED, or of an open_clip "<model>/<tag>". `also`: what else is allowed."""
    if name in NETWORKS or name in DECLARED:
        return (NETWORKS | DECLARED)[name]
    if openclip.is_clip(name):
        return openclip.facts(name)
    allowed = one_of((*NETWORKS, *DECLARED, *also), name)
    raise UserError(f"networks: unknown network {name!r}; {allowed}, or an open_clip <model>/<tag>")


def check_tap(network: str | Facts, tap: str) -> Tap:
    """The tap; raises UserError if the network has no tap of this name."""
    known = network if isinstance(network, Facts) else facts(network)
    if tap not in known.taps:
        raise UserError(f"{known.name} has no tap {tap!r}; {one_of(known.taps, tap)}")
    return known.taps[tap]


def trunk(network: str) -> str:
    """`alexnet_conv` and `alexnet` are one network."""
    return network.removesuffix("_conv")
