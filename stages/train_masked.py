"""Train one masked model, which predicts hidden parts of images."""

from relume.methods.masked.config import MaskedConfig
from relume.methods.masked.train import MaskedTrainer
from relume.training.stage import train_command

main = train_command(
    "train_masked.models",
    MaskedConfig,
    MaskedTrainer,
    __doc__,
    weights=False,
    tokenizer="A trained tokenizer, for BEiT; data/none: none.",
)

if __name__ == "__main__":
    main()
