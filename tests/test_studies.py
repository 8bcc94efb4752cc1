"""The studies that docs show can be run, say what they mean to, and the pages hold just their tables."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import decoder_study, gan_runs, landscape_runs, latent_runs, masked_study, study
from benchmarks.tables import MARK, filled
from relume.core.config import build, entry, merge, read_params
from relume.methods.landscape.config import LandscapeConfig
from relume.methods.optimise import tuned
from relume.methods.optimise.config import variation
from relume.networks.catalogue import check_tap, facts

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if MARK.search(path.read_text()))
Params = dict[str, Any]


def inversions(path: Path, params: Params) -> None:
    jobs = study.jobs(study.read(path), params, dataset="photographs", split="test")
    assert {job.method for job in jobs} >= {"s0", "tuned"} or len(jobs) > 5


def decoders(path: Path, params: Params) -> None:
    wanted = decoder_study.read(path)
    planned = decoder_study.plan(wanted, params, dataset="photographs", split="test")
    assert wanted.depths or wanted.questions, "it asks nothing beyond the floors"
    for chain in wanted.depths.values():  # of one network, and deeper from link to link
        network, *others = dict.fromkeys(planned.decoders[name].network for name in chain)
        assert not others
        taps = list(facts(network).taps)
        places = [taps.index(planned.decoders[name].taps[0]) for name in chain]
        assert places == sorted(places)


def masked(path: Path, params: Params) -> None:
    wanted = masked_study.read(path)
    assert wanted.floors
    assert masked_study.plan(wanted, params, "pictures").predictors


def generators(path: Path, params: Params) -> None:
    wanted = build(gan_runs.GanStudy, read_params(path), "study")
    planned = gan_runs.configs(wanted, params, "pictures")
    assert {one.architecture.kind for one in planned.values()} == {"style", "dcgan"}
    assert {one.drawn.count for one in planned.values()} == {wanted.count}


def latents(path: Path, params: Params) -> None:
    wanted = build(latent_runs.LatentStudy, read_params(path), "study")
    mapper = latent_runs.mapper_config(wanted, params, "pictures", "style")
    for tap in mapper.taps:
        check_tap(mapper.network, tap)
    assert wanted.known.count >= 50
    assert wanted.starts.test >= 50


def landscapes(path: Path, params: Params) -> None:
    wanted = build(landscape_runs.LandscapeStudy, read_params(path), "study")
    shared = merge(params["train_landscape"]["shared"], wanted.shared)
    config = entry(LandscapeConfig, shared, {"generator": "models/gan/style"}, "study.shared")
    assert config.descents.steps == wanted.steps, "theta learns with as many steps as it is judged after"
    assert config.descents.learning_rate in wanted.rates
    assert config.descents.betas in wanted.betas


KINDS = {"decoders": decoders, "ratios": masked, "looks": generators, "starts": latents, "tuning": landscapes}


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks/studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_is_whole(path: Path, default_params: Params) -> None:
    section = read_params(path)
    next((check for key, check in KINDS.items() if key in section), inversions)(path, default_params)


def test_what_is_held_against_s0_are_the_tuned_recipes(default_params: Params) -> None:
    wanted = study.read(ROOT / "benchmarks/studies/against_s0.yaml")
    for job in study.jobs(wanted, default_params, dataset="photos", split="test"):
        if job.method == "tuned":
            name = tuned.name_for(job.config.network, list(job.config.taps))
            recipe, _ = variation(default_params["invert_optimise"], default_params["losses"], tuned.recipe(name), name)
            assert job.config.optimiser == recipe.optimiser, name
            assert job.config.init == recipe.init, name
            guide, wanted_guide = job.config.terms.guide, recipe.terms.guide
            assert (guide.grid, guide.ridge) == (wanted_guide.grid, wanted_guide.ridge), name
            assert job.config.losses == recipe.losses, name


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_pages_hold_the_tables_of_the_results(page: Path) -> None:
    text = page.read_text()
    assert text == filled(text, ROOT / "docs/results"), "python -m benchmarks.tables writes them anew"
