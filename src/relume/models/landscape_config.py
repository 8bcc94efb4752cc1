"""What a landscape is made of, as `train_landscape` says it."""

from pydantic import Field

from relume.core.config import config


@config
class LandscapeArchitecture:
    """Linear layers with layer normalisation and LeakyReLU between them."""

    hidden: tuple[int, ...] = Field(min_length=1)  # widths between state and latent; S1's 1024, 1024
    residual: bool  # what is learned is added to the state, and is nothing at first; S1's false
    # a residual one's states are along the axes of what slopes vary in, so that Adam's steps fit each; S1's false
    turned: bool

    def __post_init__(self) -> None:
        if self.turned and not self.residual:
            raise ValueError("turned: only what is residual can be")
