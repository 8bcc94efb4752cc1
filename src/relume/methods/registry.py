"""The list of method families. Parameters, presets and tests use it; a new family is one more name, or an entry point of
`relume.families`."""

from importlib import import_module

from relume.core.registry import plugins
from relume.methods.family import Family

NAMES = ("optimise", "decoder", "surrogate", "masked", "gan", "latent", "landscape", "diffusion")
FAMILIES: tuple[Family, ...] = (
    *(import_module(f"relume.methods.{name}.family").FAMILY for name in NAMES),
    *(point.load() for point in plugins("families").values()),
)
