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
        ("evaluate", {"metrics": ["psnr_masked"]}, "metrics"),
        ("evaluate", {"paths": ["ssim"]}, "paths"),
        ("evaluate", {"metrics": ["mse"]}, "paths"),
        ("floors", {"blocks": [4, 4]}, "blocks"),
        ("compare", {"groups": ["floors", "floors"]}, "groups"),
        ("compare", {"questions": {"q": {"a": "x", "b": "y", "metrics": ["lpips"]}}}, r"questions\.q\.metrics"),
    ],
)
def test_a_fault_is_named(default_params: dict[str, Any], section: str, changes: dict[str, Any], key: str):
    build(SECTIONS[section], default_params[section], section)
    with pytest.raises(UserError, match=rf"{section}\.{key}"):
        build(SECTIONS[section], {**default_params[section], **changes}, section)
