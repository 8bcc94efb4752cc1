"""Section `run`: what every stage that computes shares."""

from typing import Literal

from pydantic import Field

from relume.core.config import config


@config
class Run:
    seed: int = Field(ge=0)  # every random number derives from it and from the id of what it is drawn for
    device: Literal["auto", "cpu", "cuda", "mps"]  # auto: the first accelerator at hand, else the processor
    precision: Literal["float32", "bfloat16"]  # of forward passes; a processor gains by bfloat16 where it has instructions for it
    threads: int = Field(ge=1)  # of a stage, whatever the machine has: sums are split by them, so a parameter
    micro_batch: int = Field(ge=1)  # pictures in one forward pass; part of the result's last bits, so a parameter
