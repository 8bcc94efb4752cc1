"""The families of methods: the one list of them. Parameters, presets, comparison, report, tracking and tests go by it."""

from relume.methods.decoder.family import FAMILY as DECODER
from relume.methods.family import Family
from relume.methods.gan.family import FAMILY as GAN
from relume.methods.landscape.family import FAMILY as LANDSCAPE
from relume.methods.latent.family import FAMILY as LATENT
from relume.methods.masked.family import FAMILY as MASKED
from relume.methods.optimise.family import FAMILY as OPTIMISE
from relume.methods.surrogate.family import FAMILY as SURROGATE

FAMILIES: tuple[Family, ...] = (OPTIMISE, DECODER, SURROGATE, MASKED, GAN, LATENT, LANDSCAPE)
