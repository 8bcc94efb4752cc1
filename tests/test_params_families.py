"""Cross-section checks of every family of methods: every fault names its key."""

import copy
from typing import Any

import pytest

from relume.core.config import build
from relume.methods.latent.config import InvertLatent, base, inherited
from relume.params import check
from tests.test_params import DELETED, RESNET, change, faults, told
from tests.toy_masked import ENERGY, STACK, TOKENS

Case = tuple[dict[str, Any], str, str]  # changes, key of the fault, pattern of its text

# --- decoders and maps ------------------------------------------------------------------------------------------------

X = "train_decoder.decoders.x"
DEEP = {"network": "alexnet_conv", "taps": ["conv5"], "features": "data/none"}
NO_LOSS = dict.fromkeys(("pixel", "lpips", "feature", "adversarial"), 0.0)
PLAIN = {"augment": {"flip": False, "crop": 0.0, "colour": 0.0}}
CACHED = DEEP | {"features": "data/features/photos/alexnet_conv"} | PLAIN
FLAT = {"taps": ["conv5", "pool"], "architecture": {"kind": "conv_only"}}
FOREIGN = {"network": "vgg16_conv", "taps": ["pool"], "features": "data/features/photos/vgg16_conv"}
GROUP = {"dataset": "photos", "split": "test", "count": None, "decoders": ["alexnet_conv5"]}
DECODERS: list[Case] = [
    ({X: DEEP | {"taps": ["conv5", "conv5"]}}, f"{X}.taps", "each once"),
    ({X: DEEP | FLAT}, f"{X}.taps", "pool has no positions"),
    ({X: DEEP, f"{X}.features": DELETED}, f"{X}.features", "missing"),
    ({X: DEEP | {"taps": ["conv1", "conv2"], "architecture": {"kind": "per_layer"}}}, f"{X}.taps", "one tap"),
    ({X: DEEP | {"architecture": {"kind": "conv_only", "width": 8}}}, f"{X}.architecture.width", "unknown key"),
    ({X: DEEP | {"losses": NO_LOSS}}, f"{X}.losses.pixel", "nothing to learn"),
    ({X: DEEP | {"losses": NO_LOSS | {"adversarial": 1.0}}}, f"{X}.losses.pixel", "cannot tell"),
    ({X: DEEP | {"measures": {"adversarial": {"width": 2}}}}, f"{X}.measures.adversarial.width", ""),
    ({X: DEEP | {"training": {"log_every": 4, "validate_every": 6}}}, f"{X}.training.validate_every", "multiple of log_every"),
    ({X: DEEP | PLAIN | {"features": "here"}}, f"{X}.features", "'here' is neither data/none"),
    ({X: CACHED | {"augment": {"flip": True}}}, f"{X}.features", "augment.flip"),
    ({X: CACHED | FOREIGN}, f"{X}.features", "not in extract.cached"),
    ({X: CACHED, "extract.cached": ["efficientnet_lite0"]}, f"{X}.features", "not in extract.cached"),
    ({"invert_decoder.again": GROUP}, "invert_decoder.again", "the name 'alexnet_conv5' belongs to invert_decoder.decoders"),
    ({"invert_decoder.again": GROUP}, "compare.groups", "again is missing"),
    ({"maps.dataset": "photos_32"}, "maps.dataset", "not dataset, 'photos'"),
    ({"maps.dataset": "photos_32"}, "maps.decoders", "alexnet_conv1_128 makes images of 128 px; photos_32 has 32"),
    ({"weights.networks": ["alexnet_conv"]}, "invert_decoder.pretrained.decoders", "efficientnet_lite0, which is not in"),
    ({"train_decoder.decoders.alexnet_conv1_128": DEEP}, "train_decoder.decoders.alexnet_conv1_128", "one that ships"),
    ({"maps.split": "train"}, "maps.split", "models learn from 'train'"),
    ({X: DEEP | {"taps": ["conv4", "conv5"]}, "maps.decoders": ["x"]}, "maps.decoders", "one tap"),
    ({X: DEEP | {"network": "identity", "taps": ["pixels"]}, "maps.decoders": ["x"]}, "maps.groups", "has 3"),
]

# --- masked models and probe ------------------------------------------------------------------------------------------

MODEL, MASKED = "train_masked.models", "reconstruct_masked.masked"
FILLED = {"dataset": "photos", "split": "test", "count": None, "pattern": "random", "ratios": [0.85], "cell": 16}
OF_MASKED: dict[str, Any] = {  # three models, and a group of two of them
    "train_masked.shared.dataset": "photos",
    "train_masked.shared.masks": {"pattern": "random", "ratio": 0.85, "cell": 16},
    MODEL: {
        "codes": {"architecture": TOKENS, "tokenizer": "data/none"},
        "et": {"architecture": ENERGY, "tokenizer": "data/none"},
        "beit": {"architecture": {"kind": "beit", "encoder": STACK, "tokenizer": TOKENS}, "tokenizer": "models/masked/codes"},
    },
    "probe.models": [],
    MASKED: FILLED | {"models": ["et", "beit"]},
    "compare.questions": {"masked": {"a": "et", "b": "beit", "metrics": ["psnr_masked", "lpips_alex"]}},
}
ET = OF_MASKED[MODEL]["et"]
MORE = FILLED | {"pattern": "grid", "models": []}
OF_MASKED_FAULTS: list[Case] = [
    ({f"{MODEL}.et.masks": {"cell": 10}}, f"{MODEL}.et.masks.cell", "must divide"),
    ({f"{MODEL}.codes.architecture": {**TOKENS, "levels": [4]}}, f"{MODEL}.codes.architecture.levels", ""),
    ({f"{MODEL}.beit.architecture.encoder": {**STACK, "heads": 3}}, f"{MODEL}.beit.architecture.encoder.heads", ""),
    ({f"{MODEL}.beit.tokenizer": "models/masked/et"}, f"{MODEL}.beit.tokenizer", "not a tokenizer"),
    ({f"{MODEL}.codes.architecture": {**TOKENS, "width": 16}}, f"{MODEL}.beit.architecture.tokenizer", "must equal those of"),
    ({f"{MASKED}.dataset": "photos_32"}, f"{MASKED}.models", "et needs images of 128 px, those of photos_32 have 32"),
    ({f"{MASKED}.cell": 32}, f"{MASKED}.models", "et needs cells of 16 px"),
    ({f"{MASKED}.cell": 10}, f"{MASKED}.cell", "must divide"),
    ({f"{MASKED}.models": ["codes"]}, f"{MASKED}.models", "codes is a tokenizer"),
    ({"reconstruct_masked.more": MORE}, "reconstruct_masked.more.ratios", "masked hides 0.85 of photos"),
    ({"reconstruct_masked.more": MORE | {"models": ["et"]}}, "reconstruct_masked.more", "'et' belongs to"),
    ({"probe.models": ["codes"]}, "probe.models", "codes is a tokenizer"),
    ({"probe.models": ["et"]}, "probe.models", "et needs images of 128 px, those of photos_32 have 32"),
]

# --- generators -------------------------------------------------------------------------------------------------------

GAN, STYLE = "train_gan.shared", "train_gan.models.style"
SMALL = {
    "prepare.datasets.photos_32.pixels": 16,
    f"{GAN}.metric_network": {"network": "alexnet_conv", "tap": "conv5"},
    f"{GAN}.objective.network": "vgg16_conv",
    f"{GAN}.objective.taps": ["conv1_2"],
}
OUTER = {"kind": "stylegan", "source": "outer.pt", "sha256": "0" * 64, "pixels": 64}
GANS: list[Case] = [
    ({f"{GAN}.objective.network": "efficientnet_lite0"}, f"{STYLE}.objective.network", "metric_network"),
    (SMALL, f"{GAN}.metric_network.network", "at least 31 px, these have 16"),
    ({"prepare.datasets.photos_32.pixels": 48}, f"{STYLE}.dataset", "photos_32 have 48"),
    ({f"{GAN}.withheld": 2000}, f"{STYLE}.withheld", "needs 2001 images of train"),
    ({"score_samples.split": "train"}, "score_samples.split", "trained on train"),
    ({"score_samples.count": 513}, "score_samples.count", "more than the samples"),
    ({"score_samples.patches": 5}, "score_samples.patches", "cannot be cut"),
    ({"score_samples.withheld": 401}, "score_samples.withheld", "more than train_gan withholds"),
    ({"score_samples.withheld": 1}, "score_samples.withheld", "at least 2"),
    ({"import_gan.models.outer": OUTER | {"pixels": 63}}, "import_gan.models.outer.pixels", "8, 16, 32"),
    ({"import_gan.models.style": OUTER}, "train_gan.models.style", "'style' belongs to import_gan.models.style"),
]

# --- mappers and latents ----------------------------------------------------------------------------------------------

MAPPER, LATENTS = "train_mapper.models.mapper_conv5", "invert_latent.latents"
W_PLUS = f"{LATENTS}.methods.latent_w_plus"
GIVEN = {"space": "w", "start": "given"}
FOURIER = {"parametrisation": {"kind": "fourier", "decay": 1.0}}
OF_LATENTS: list[Case] = [
    ({f"{MAPPER}.generator": "models/gan/x"}, f"{LATENTS}.mapper", "maps alexnet_conv to models/gan/x"),
    ({f"{MAPPER}.taps": ["conv3"]}, f"{W_PLUS}.taps", "the mapper reads conv3"),
    ({f"{MAPPER}.taps": ["conv3"], f"{LATENTS}.methods.y": FOURIER}, f"{LATENTS}.methods.y.taps", "the mapper reads conv3"),
    ({"train_mapper.shared.space": "w_plus", f"{W_PLUS}.parametrisation": GIVEN}, f"{W_PLUS}.parametrisation.space", "w_plus"),
    ({f"{LATENTS}.mapper": "data/none"}, f"{W_PLUS}.parametrisation", "the group has no mapper"),
    ({f"{LATENTS}.base.split": "val"}, f"{LATENTS}.base", "the baselines are of test"),
    ({f"{W_PLUS}.count": 3}, f"{W_PLUS}.count", "must equal"),
    ({f"{LATENTS}.losses.ref": 1.0}, f"{W_PLUS}.losses.ref", "an earlier group"),
    ({f"{LATENTS}.losses.surrogate": 1.0}, f"{W_PLUS}.losses.surrogate", "a surrogate"),
    ({f"{LATENTS}.losses.clip": 1.0}, "invert_optimise.terms.clip.network", "not in weights.networks"),
]

# --- landscapes -------------------------------------------------------------------------------------------------------

LANDSCAPE, PICTURES = "train_landscape.models.landscape", "invert_landscape.pictures"
LANDSCAPES: list[Case] = [
    ({"prepare.datasets.photos_32.val": 0}, "train_landscape.shared.dataset", "no images in val"),
    ({f"{LANDSCAPE}.generator": "models/gan/stile"}, f"{PICTURES}.generator", "trained with models/gan/stile"),
    ({"train_landscape.shared.descents.per_batch": 99}, f"{LANDSCAPE}.descents.per_batch", "16"),
    ({"train_landscape.shared.space": "z"}, f"{PICTURES}.mapper", "maps to w .* in z"),
    ({f"{PICTURES}.mapper": "data/none"}, f"{PICTURES}.mapper", "plain_mapper, landscape_mapper"),
    ({"import_gan.models.outer": OUTER, f"{PICTURES}.generator": "models/gan/outer"}, f"{PICTURES}.generator", "trained with"),
]

# --- surrogates -------------------------------------------------------------------------------------------------------

SURROGATE, ASKED = "train_surrogate.models.surrogate_conv5", "recipes.deep.surrogate"
ASKS: dict[str, Any] = {
    "recipes.*.losses.surrogate": 0.0,
    "recipes.deep.losses.surrogate": DELETED,
    "losses.surrogate": 1.0,
    ASKED: "models/surrogate/surrogate_conv5",
    "recipes.deep.weights": "models/weights/efficientnet_lite0",
}
SURROGATES: list[Case] = [
    ({f"{SURROGATE}.features": "data/features/photos"}, f"{SURROGATE}.features", "is neither"),
    ({ASKED: "surrogate_conv5"}, ASKED, "did you mean 'models/surrogate/surrogate_conv5'"),
    ({ASKED: "data/none"}, ASKED, "needs a model"),
    ({"recipes.deep.taps": {"conv3": 1.0}}, ASKED, "predicts from alexnet_conv conv5"),
    ({"losses.surrogate": 0.0}, ASKED, "needs a weight in losses.surrogate"),
    (RESNET | {"recipes.deep.weights": "models/weights/resnet50"}, "recipes.deep.weights", "needs efficientnet_lite0"),
]


@pytest.mark.parametrize(("changes", "where", "kind"), [*DECODERS, *GANS, *OF_LATENTS, *LANDSCAPES])
def test_faults(default_params: dict[str, Any], changes: dict[str, Any], where: str, kind: str) -> None:
    told(default_params, changes, where, kind)


@pytest.mark.parametrize(("changes", "where", "kind"), OF_MASKED_FAULTS)
def test_faults_of_masked_models(default_params: dict[str, Any], changes: dict[str, Any], where: str, kind: str) -> None:
    told(default_params, OF_MASKED | changes, where, kind)


@pytest.mark.parametrize(("changes", "where", "kind"), SURROGATES)
def test_faults_of_surrogates(default_params: dict[str, Any], changes: dict[str, Any], where: str, kind: str) -> None:
    told(default_params, ASKS | changes, where, kind)


MORE_GROUPS = ["pretrained", "first", "refined_shallow", "refined_middle", "refined_deep", "pooled", "s0"]
WITHOUT_LANDSCAPES: dict[str, Any] = {
    "invert_landscape": {},
    "compare.groups": ["floors", "decoders", "shallow", "middle", "deep", *MORE_GROUPS, "masked", "latents"],
    "compare.questions": {},
}
WITHOUT_GENERATORS = {
    **{"train_gan.models": {}, "train_mapper.models": {}, "invert_latent": {}, "train_landscape.models": {}},
    **{"score_samples.models": [], f"{GAN}.dataset": "nowhere", "compare.groups": WITHOUT_LANDSCAPES["compare.groups"][:-1]},
}
WITHOUT_MAPPER = {"mapper": "data/none", "methods.plain_mapper": DELETED, "methods.landscape_mapper": DELETED}


@pytest.mark.parametrize(
    "changes",
    [
        {X: CACHED},
        OF_MASKED,
        ASKS,
        ASKS | {"recipes.deep.weights": "models/weights"},
        {  # an imported generator
            "import_gan.models.outer": OUTER,
            f"{MAPPER}.generator": "models/gan/outer",
            f"{LATENTS}.generator": "models/gan/outer",
            **WITHOUT_LANDSCAPES,
        },
        SMALL | {"prepare.datasets.photos_32.pixels": 32, f"{GAN}.metric_network.pixels": 32},
        {f"{PICTURES}.{key}": value for key, value in WITHOUT_MAPPER.items()},
        {**WITHOUT_LANDSCAPES, **WITHOUT_GENERATORS},
    ],
)
def test_valid_changes_pass(default_params: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        change(default_params, key, value)
    check(default_params)


MODELS = [("train_surrogate", "et"), ("train_landscape", "mapper_conv5"), ("train_landscape", "alexnet_conv5")]
METHODS = [("train_gan", "deep"), ("train_mapper", "deep"), ("train_masked", "deep"), ("train_surrogate", "plain_20")]


@pytest.mark.parametrize(("section", "name"), [*MODELS, *METHODS, ("train_gan", "floor_x"), ("train_masked", "floor_x")])
def test_model_names_are_unique(default_params: dict[str, Any], section: str, name: str) -> None:
    """Models share `metrics/training/`, and tables with methods of other families."""
    models = default_params[section]["models"]
    models[name] = copy.deepcopy(next(iter(models.values())))
    assert any(f"the name '{name}' " in line for line in faults(default_params))


@pytest.mark.parametrize("section", ["recipes", "invert_decoder", "reconstruct_masked", "invert_latent", "invert_landscape"])
def test_group_names_are_unique_and_compared(default_params: dict[str, Any], section: str) -> None:
    groups = default_params[section]
    own = next(iter(groups))
    default_params["compare"]["groups"].remove(own)
    assert f"params: compare.groups: {own} is missing, which a stage writes" in faults(default_params)
    groups["floors"] = copy.deepcopy(groups[own])
    assert any(line.startswith(f"params: {section}.floors: the name 'floors' belongs to") for line in faults(default_params))


@pytest.mark.parametrize("section", ["invert_latent.latents", "invert_landscape.pictures"])
def test_method_names_are_unique(default_params: dict[str, Any], section: str) -> None:
    key, group = section.split(".")
    methods = default_params[key][group]["methods"]
    methods["deep"] = copy.deepcopy(next(iter(methods.values())))
    assert f"params: {section}: the name 'deep' belongs to recipes.deep" in faults(default_params)


def test_latent_groups_inherit_from_invert_optimise(default_params: dict[str, Any]) -> None:
    section = build(InvertLatent, default_params["invert_latent"]["latents"], "latents")
    found = base(inherited(section, default_params["invert_optimise"]), "latents")
    assert (found.terms.guide.grid, found.stop.patience) == (6, None)
    default_params["invert_optimise"]["stop"]["patience"] = 7
    assert base(inherited(section, default_params["invert_optimise"]), "latents").stop.patience == 7
