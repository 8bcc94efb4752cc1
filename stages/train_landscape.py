"""Train one landscape: theta, through which descents in a generator's latent space are fast."""

from relume.methods.gan.trained import read_gan
from relume.methods.landscape.config import LandscapeConfig
from relume.methods.landscape.train import LandscapeTrainer
from relume.training.stage import train_command

main = train_command(
    "train_landscape.models",
    LandscapeConfig,
    lambda setup, generator: LandscapeTrainer(setup, read_gan(generator, setup.device)),
    __doc__,
    generator="The trained generator.",
)

if __name__ == "__main__":
    main()
