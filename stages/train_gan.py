"""Train one generator, and write its samples."""

from relume.core.samples import write_samples
from relume.methods.gan.config import GanConfig
from relume.methods.gan.train import GanTrainer
from relume.training.stage import train_command

main = train_command(
    "train_gan.models",
    GanConfig,
    lambda setup, samples: GanTrainer(setup),
    __doc__,
    also=lambda trainer, samples: write_samples(samples, trainer.drawn()),
    samples="Folder of its samples.",
)

if __name__ == "__main__":
    main()
