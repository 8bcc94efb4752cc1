"""Train one decoder, from taps of a frozen network to images."""

from relume.methods.decoder.config import DecoderConfig
from relume.methods.decoder.train import DecoderTrainer
from relume.training.stage import train_command

main = train_command(
    "train_decoder.decoders",
    DecoderConfig,
    DecoderTrainer,
    __doc__,
    features="Its features in the cache; data/none: they are computed.",
)

if __name__ == "__main__":
    main()
