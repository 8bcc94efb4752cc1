"""Section `run`: settings of all stages that compute."""

from typing import Literal

from pydantic import Field

from relume.core.config import config


@config
class Run:
    seed: int = Field(ge=0)  # all random numbers derive from it and the id of the image or model
    device: Literal["auto", "cpu", "cuda", "mps"]  # auto: the first available accelerator, else the CPU
    precision: Literal["float32", "bfloat16"]  # of forward passes; bfloat16 is faster on a CPU only if it has instructions for it
    threads: int = Field(ge=1)  # per stage, on every machine: the order of sums depends on it
    micro_batch: int = Field(ge=1)  # images per forward pass; it changes the last digits of results
