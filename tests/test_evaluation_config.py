"""Sections `floors`, `evaluate`, `compare`: what is wrong is named by its key, with what is allowed."""

from typing import Any

import pytest

from relume.core.config import build
from relume.core.errors import UserError
from relume.evaluation.config import Compare, Evaluate, Floors

SECTIONS = {"floors": Floors, "evaluate": Evaluate, "compare": Compare}


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("evaluate", {"metrics": ["psnrr"]}, r"evaluate\.metrics: unknown metric 'psnrr'; did you mean 'psnr'\? allowed: "),
        ("evaluate", {"metrics": []}, r"evaluate\.metrics"),
        ("evaluate", {"metrics": ["psnr_masked"]}, r"evaluate\.metrics: unknown metric 'psnr_masked'"),
        ("evaluate", {"paths": ["ssim"]}, r"evaluate\.paths: unknown metric 'ssim'; .*psnr"),
        ("evaluate", {"metrics": ["mse"]}, r"evaluate\.paths: unknown metric 'psnr'"),
        ("evaluate", {"sets": {"network": "efficientnet_lite0"}}, r"evaluate\.sets\.tap: missing"),
        ("floors", {"blocks": [4, 4]}, r"floors\.blocks: something stands there twice: 4, 4"),
        ("floors", {"blocks": [1]}, r"floors\.blocks\.0: .* greater than or equal to 2"),
        ("floors", {"count": 0}, r"floors\.count"),
        ("compare", {"groups": ["floors", "floors"]}, r"compare\.groups: something stands there twice"),
        ("compare", {"resamples": 10}, r"compare\.resamples: .* greater than or equal to 1000"),
        (
            "compare",
            {"questions": {"q": {"a": "x", "b": "y", "metrics": ["lpips"]}}},
            r"compare\.questions\.q\.metrics: unknown metric",
        ),
        ("compare", {"questions": {"q": {"a": "x", "metrics": ["psnr"]}}}, r"compare\.questions\.q\.b: missing"),
    ],
)
def test_a_fault_is_named(default_params: dict[str, Any], section: str, changes: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message):
        build(SECTIONS[section], {**default_params[section], **changes}, section)


@pytest.mark.parametrize("section", SECTIONS)
def test_the_committed_section_is_right(default_params: dict[str, Any], section: str):
    build(SECTIONS[section], default_params[section], section)
