"""Section `invert_decoder`."""

from pydantic import Field

from relume.core.config import config
from relume.training.config import Name


@config
class InvertDecoder:
    """One entry of section `invert_decoder`: a group, with a method for each of its decoders."""

    dataset: str
    split: str
    count: int | None = Field(ge=1)  # the first pictures of the split; null: all of them
    decoders: tuple[str, ...] = Field(min_length=1)  # of `train_decoder.decoders`


DecoderGroups = dict[Name, InvertDecoder]  # the section
