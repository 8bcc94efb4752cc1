"""The studies in docs are valid, and the pages hold their current tables."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import decoder_study, gan_runs, landscape_runs, latent_runs, masked_study, study
from benchmarks.tables import MARK, filled
from relume.core.config import build, entry, merge, read_params
from relume.methods.landscape.config import LandscapeConfig
from relume.methods.optimise import tuned
from relume.methods.optimise.config import variation
from relume.networks.catalogue import facts

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if MARK.search(path.read_text()))
Params = dict[str, Any]
SAME = ("optimiser", "init", "losses")


def inversions(path: Path, params: Params) -> None:
    assert study.jobs(study.read(path), params, dataset="photographs", split="test")


def decoders(path: Path, params: Params) -> None:
    wanted = decoder_study.read(path)
    planned = decoder_study.plan(wanted, params, dataset="photographs", split="test")
    for chain in wanted.depths.values():
        taps = list(facts(planned.decoders[chain[0]].network).taps)
        places = [taps.index(planned.decoders[name].taps[0]) for name in chain]
        assert places == sorted(places), "not in the order of depth"


def masked(path: Path, params: Params) -> None:
    study = masked_study.read(path)
    assert masked_study.plan(study, params, "pictures").predictors or study.floors


def generators(path: Path, params: Params) -> None:
    wanted = build(gan_runs.GanStudy, read_params(path), "study")
    assert {one.drawn.count for one in gan_runs.configs(wanted, params, "pictures").values()} == {wanted.count}


def latents(path: Path, params: Params) -> None:
    wanted = build(latent_runs.LatentStudy, read_params(path), "study")
    assert latent_runs.mapper_config(wanted, params, "pictures", "style").taps


def landscapes(path: Path, params: Params) -> None:
    wanted = build(landscape_runs.LandscapeStudy, read_params(path), "study")
    shared = merge(params["train_landscape"]["shared"], wanted.shared)
    config = entry(LandscapeConfig, shared, {"generator": "models/gan/style"}, "study.shared")
    assert config.descents.steps == wanted.steps, "trained and evaluated with as many steps"


KINDS = {"decoders": decoders, "ratios": masked, "looks": generators, "starts": latents, "tuning": landscapes}


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks/studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_is_valid(path: Path, default_params: Params) -> None:
    section = read_params(path)
    next((check for key, check in KINDS.items() if key in section), inversions)(path, default_params)


def test_against_s0_uses_the_tuned_recipes(default_params: Params) -> None:
    wanted = study.read(ROOT / "benchmarks/studies/against_s0.yaml")
    for job in study.jobs(wanted, default_params, dataset="photos", split="test"):
        if job.method == "tuned":
            name = tuned.name_for(job.config.network, list(job.config.taps))
            recipe, _ = variation(default_params["invert_optimise"], default_params["losses"], tuned.recipe(name), name)
            assert [getattr(job.config, key) for key in SAME] == [getattr(recipe, key) for key in SAME], name


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_pages_are_fresh(page: Path) -> None:
    text = page.read_text()
    assert text == filled(text, ROOT / "docs/results"), "python -m benchmarks.tables writes them anew"
