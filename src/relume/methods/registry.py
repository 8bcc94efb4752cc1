"""The list of method families. Parameters, presets and tests use it; a new family is one more name."""

from importlib import import_module

from relume.methods.family import Family

NAMES = ("optimise", "decoder", "surrogate", "masked", "gan", "latent", "landscape")
FAMILIES: tuple[Family, ...] = tuple(import_module(f"relume.methods.{name}.family").FAMILY for name in NAMES)
