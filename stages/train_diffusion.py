"""Train one denoiser, which sees a frozen network's features."""

from relume.methods.diffusion.config import DiffusionConfig
from relume.methods.diffusion.train import DiffusionTrainer
from relume.training.stage import train_command

main = train_command("train_diffusion.models", DiffusionConfig, DiffusionTrainer, __doc__)

if __name__ == "__main__":
    main()
