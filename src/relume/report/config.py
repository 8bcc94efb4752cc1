"""Section `report`: what the page shows; all it says is computed from the tables."""

from pydantic import Field

from relume.core.config import config


@config
class Report:
    pictures: int = Field(ge=1, le=64)  # shown of each dataset, spread over its sources; each costs its size in every method
