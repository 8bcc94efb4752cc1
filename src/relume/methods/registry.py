"""The families of methods: the one list of them. Parameters, presets and tests go by it; a new family is one more line."""

from importlib import import_module

from relume.methods.family import Family

NAMES = ("optimise", "decoder", "surrogate", "masked", "gan", "latent", "landscape", "diffusion")
FAMILIES: tuple[Family, ...] = tuple(import_module(f"relume.methods.{name}.family").FAMILY for name in NAMES)
