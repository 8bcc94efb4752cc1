"""Section `report` of params.yaml."""

from pydantic import Field

from relume.core.config import config


@config
class Report:
    pictures: int = Field(ge=1, le=64)  # images shown of each dataset, spread over its sources
