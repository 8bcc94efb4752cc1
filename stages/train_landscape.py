"""Train one landscape: theta, which speeds up gradient descent in a generator's latent space."""

from relume.methods.gan.model import read_gan
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
