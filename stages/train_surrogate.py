"""Train one surrogate, from features of one network to those of another."""

from relume.methods.surrogate.config import SurrogateConfig
from relume.methods.surrogate.train import SurrogateTrainer
from relume.training.stage import train_command

main = train_command(
    "train_surrogate.models",
    SurrogateConfig,
    SurrogateTrainer,
    __doc__,
    features="Features in the cache; data/none: they are computed.",
    target_features="Features of the target in the cache; data/none: they are computed.",
)

if __name__ == "__main__":
    main()
