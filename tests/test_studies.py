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
FILES = sorted((ROOT / "benchmarks/studies").glob("*.yaml"))
OF_DECODERS = [path for path in FILES if "decoders" in read_params(path)]
OF_MASKED = [path for path in FILES if "ratios" in read_params(path)]
OF_GENERATORS = [path for path in FILES if "looks" in read_params(path)]
OF_LATENTS = [path for path in FILES if "starts" in read_params(path)]
OF_LANDSCAPES = [path for path in FILES if "tuning" in read_params(path)]
APART = (*OF_DECODERS, *OF_MASKED, *OF_GENERATORS, *OF_LATENTS, *OF_LANDSCAPES)
STUDIES = [path for path in FILES if path not in APART]
PAGES = sorted(path for path in (ROOT / "docs").glob("*.md") if MARK.search(path.read_text()))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_is_whole(path: Path, default_params: dict[str, Any]) -> None:
    jobs = study.jobs(study.read(path), default_params, dataset="photographs", split="test")
    assert {job.method for job in jobs} >= {"s0", "tuned"} or len(jobs) > 5


@pytest.mark.parametrize("path", OF_DECODERS, ids=lambda path: path.stem)
def test_every_study_of_decoders_is_whole(path: Path, default_params: dict[str, Any]) -> None:
    wanted = decoder_study.read(path)
    planned = decoder_study.plan(wanted, default_params, dataset="photographs", split="test")
    assert wanted.depths or wanted.questions, "it asks nothing beyond the floors"
    for chain in wanted.depths.values():  # of one network, and deeper from link to link
        network, *others = dict.fromkeys(planned.decoders[name].network for name in chain)
        assert not others
        taps = list(facts(network).taps)
        places = [taps.index(planned.decoders[name].taps[0]) for name in chain]
        assert places == sorted(places)


@pytest.mark.parametrize("path", OF_MASKED, ids=lambda path: path.stem)
def test_every_study_of_masked_models_is_whole(path: Path, default_params: dict[str, Any]) -> None:
    wanted = masked_study.read(path)
    planned = masked_study.plan(wanted, default_params, "pictures")
    assert wanted.floors
    assert planned.predictors


@pytest.mark.parametrize("path", OF_GENERATORS, ids=lambda path: path.stem)
def test_every_study_of_generators_is_whole(path: Path, default_params: dict[str, Any]) -> None:
    wanted = build(gan_runs.GanStudy, read_params(path), "study")
    planned = gan_runs.configs(wanted, default_params, "pictures")
    assert {one.architecture.kind for one in planned.values()} == {"style", "dcgan"}
    assert {one.drawn.count for one in planned.values()} == {wanted.count}


@pytest.mark.parametrize("path", OF_LATENTS, ids=lambda path: path.stem)
def test_every_study_of_latents_is_whole(path: Path, default_params: dict[str, Any]) -> None:
    wanted = build(latent_runs.LatentStudy, read_params(path), "study")
    mapper = latent_runs.mapper_config(wanted, default_params, "pictures", "style")
    for tap in mapper.taps:
        check_tap(mapper.network, tap)
    assert wanted.known.count >= 50
    assert wanted.starts.test >= 50


@pytest.mark.parametrize("path", OF_LANDSCAPES, ids=lambda path: path.stem)
def test_every_study_of_landscapes_is_whole(path: Path, default_params: dict[str, Any]) -> None:
    wanted = build(landscape_runs.LandscapeStudy, read_params(path), "study")
    shared = merge(default_params["train_landscape"]["shared"], wanted.shared)
    config = entry(LandscapeConfig, shared, {"generator": "models/gan/style"}, "study.shared")
    assert config.descents.steps == wanted.steps, "theta learns with as many steps as it is judged after"
    assert config.descents.learning_rate in wanted.rates
    assert config.descents.betas in wanted.betas


def test_what_is_held_against_s0_are_the_tuned_recipes(default_params: dict[str, Any]) -> None:
    wanted = study.read(ROOT / "benchmarks/studies/against_s0.yaml")
    for job in study.jobs(wanted, default_params, dataset="photos", split="test"):
        if job.method == "tuned":
            name = tuned.name_for(job.config.network, list(job.config.taps))
            recipe, _ = variation(default_params["invert_optimise"], default_params["losses"], tuned.recipe(name), name)
            assert job.config.optimiser == recipe.optimiser, name
            assert job.config.init == recipe.init, name
            assert (job.config.terms.guide.grid, job.config.terms.guide.ridge) == (
                recipe.terms.guide.grid,
                recipe.terms.guide.ridge,
            ), name
            assert job.config.losses == recipe.losses, name


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_pages_hold_the_tables_of_the_results(page: Path) -> None:
    text = page.read_text()
    assert text == filled(text, ROOT / "docs/results"), "python -m benchmarks.tables writes them anew"
