"""Measurements outside the pipeline: `python -m benchmarks.NAME`, from the project's root."""

import gc

import stages  # noqa: F401  puts this tree's sources first

gc.enable()
