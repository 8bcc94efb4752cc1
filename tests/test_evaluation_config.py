"""Sections `floors`, `evaluate`, `compare`: what is wrong is named by its key, with what is allowed."""

from typing import Any

import pytest

from relume.core.config import build
from relume.core.errors import UserError
from relume.evaluation.config import Compare, Evaluate, Floors

SECTIONS = {"floors": Floors, "evaluate": Evaluate, "compare": Compare}


@pytest.mark.parametrize(
    ("section", "changes", "key"),
    [
        ("evaluate", {"metrics": ["psnrr"]}, r"metrics: .*'psnrr'; did you mean 'psnr'"),
        ("evaluate", {"metrics": []}, "metrics"),
        ("evaluate", {"metrics": ["psnr_masked"]}, "metrics"),
        ("evaluate", {"paths": ["ssim"]}, "paths"),
        ("evaluate", {"metrics": ["mse"]}, "paths"),
        ("evaluate", {"sets": {"network": "efficientnet_lite0"}}, r"sets\.tap"),
        ("floors", {"blocks": [4, 4]}, "blocks"),
        ("floors", {"blocks": [1]}, r"blocks\.0"),
        ("floors", {"count": 0}, "count"),
        ("compare", {"groups": ["floors", "floors"]}, "groups"),
        ("compare", {"resamples": 10}, "resamples"),
        ("compare", {"questions": {"q": {"a": "x", "b": "y", "metrics": ["lpips"]}}}, r"questions\.q\.metrics"),
        ("compare", {"questions": {"q": {"a": "x", "metrics": ["psnr"]}}}, r"questions\.q\.b"),
    ],
)
def test_a_fault_is_named(default_params: dict[str, Any], section: str, changes: dict[str, Any], key: str):
    build(SECTIONS[section], default_params[section], section)
    with pytest.raises(UserError, match=rf"{section}\.{key}"):
        build(SECTIONS[section], {**default_params[section], **changes}, section)
