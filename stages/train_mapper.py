"""Train one mapper, from taps of a frozen network to latents of a frozen generator."""

from relume.methods.gan.model import read_gan
from relume.methods.latent.config import MapperConfig
from relume.methods.latent.train import MapperTrainer
from relume.training.stage import train_command

main = train_command(
    "train_mapper.models",
    MapperConfig,
    lambda setup, generator: MapperTrainer(setup, read_gan(generator, setup.device)),
    __doc__,
    generator="The trained generator.",
)

if __name__ == "__main__":
    main()
