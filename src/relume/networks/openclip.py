"""Facts of open_clip's image towers, read from the model files of the package without importing it (which takes seconds). Three
have short names; the others are "<model>/<tag>", as in "ViT-B-16/laion2b_s34b_b88k"."""

import functools
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

from relume.core.errors import UserError, one_of
from relume.networks.facts import Facts, Tap, activation_taps, output

MEAN = (0.48145466, 0.4578275, 0.40821073)  # of OpenAI; a tag with other values replaces them when built
STD = (0.26862954, 0.26130258, 0.27577711)
DECLARED: dict[str, dict[str, Any]] = {  # as in open_clip's model files, for use without the package
    "ViT-B-32": {"embed_dim": 512, "vision_cfg": {"layers": 12, "width": 768, "patch_size": 32}},
    "ViT-L-14": {"embed_dim": 768, "vision_cfg": {"layers": 24, "width": 1024, "patch_size": 14}},
    "RN50": {"embed_dim": 1024, "vision_cfg": {"layers": [3, 4, 6, 3], "width": 64}},
}
SHORT = {"clip_vit_b_32": "ViT-B-32/openai", "clip_vit_l_14": "ViT-L-14/openai", "clip_rn50": "RN50/openai"}


def split(name: str) -> tuple[str, str]:
    """A network's name -> (open_clip's model, its tag)."""
    model, _, tag = SHORT.get(name, name).partition("/")
    return model, tag


def is_clip(name: str) -> bool:
    return "/" in SHORT.get(name, name)


def facts(name: str) -> Facts:
    model, tag = split(name)
    described = DECLARED.get(model)
    if described is None and (file := _model_files().get(model)):
        described = json.loads(file.read_text())
    if described is None or not re.fullmatch(r"\w[\w.-]*", tag):
        allowed = one_of({*_model_files(), *DECLARED}, model)
        raise UserError(f"networks: {name}: unknown open_clip model; names are <model>/<tag>; {allowed}")
    vision = described["vision_cfg"]
    return Facts(
        name=name,
        builder="openclip",
        mean=MEAN,
        std=STD,
        size=int(vision.get("image_size", 224)),
        any_size=False,
        min_size=1,
        taps=_taps(vision, int(described["embed_dim"])),
        variant=f"open_clip {model}, {tag}, picture tower",
        licence="see the tag's model card" if tag != "openai" else "MIT",
    )


def trained(name: str) -> dict[str, Any]:
    """The tag's configuration in open_clip: url, mean and std. Imports the package."""
    import open_clip

    model, tag = split(name)
    known: dict[str, Any] = open_clip.get_pretrained_cfg(model, tag)
    if not known:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(model)) or "nothing"
        raise UserError(f"networks: {name}: unknown tag {tag!r} of {model}; allowed: {tags}")
    return known


@functools.cache
def _model_files() -> dict[str, Path]:
    spec = importlib.util.find_spec("open_clip")
    if spec is None or spec.origin is None:
        return {}
    return {file.stem: file for file in sorted(Path(spec.origin).parent.glob("model_configs/*.json"))}


def _taps(vision: dict[str, Any], embedding: int) -> dict[str, Tap]:
    """`pool` is CLIP's embedding before normalisation. Towers from timm have no other tap."""
    layers, width, patch = vision.get("layers"), vision.get("width", 768), vision.get("patch_size", 16)
    taps: dict[str, Tap] = {}
    if isinstance(layers, list):
        for i, blocks in enumerate(layers, start=1):
            before, after = activation_taps(f"layer{i}.{blocks - 1}.act3", width * 2 ** (i + 1), 2 ** (i + 1))
            taps |= {f"layer{i}_pre": before, f"layer{i}": after}
    elif "timm_model_name" not in vision:
        for i in range(1, (layers or 12) + 1):
            taps[f"block{i}"] = output(f"transformer.resblocks.{i - 1}", width, patch, form="tokens")
    return taps | {"pool": output("", embedding)}
