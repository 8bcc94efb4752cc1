"""Fixed draws of a generator and ways between latents, by hand; what lies on disk is what was drawn."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relume.core.config import build
from relume.core.errors import UserError
from relume.core.files import read_json
from relume.core.images import to_uint8
from relume.core.runtime import generator as die
from relume.core.samples import read_samples, write_samples
from relume.methods.gan.config import Drawn
from relume.methods.gan.samples import Sampler, arc, between, sampled
from tests.gan_files import KINDS, SIZE, generator


def sampler(kind: str, **differences: Any) -> Sampler:
    plain = {"count": 5, "walks": 2, "steps": 3, "truncation": 1.0}
    model = generator(kind)
    if kind == "dcgan":  # whose first pictures are all but grey
        model.get_parameter("up.6.weight").data.mul_(50)
    model.running_mean.normal_(generator=torch.Generator().manual_seed(5))
    return Sampler(model=model, config=build(Drawn, plain | differences, "drawn"), seed=3, micro_batch=2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_draw_belongs_to_its_number(kind: str) -> None:
    """However many are drawn, and however many at once."""
    made = sampler(kind)
    found = made.images()
    assert found.shape == (5, SIZE, SIZE, 3)
    assert np.array_equal(sampler(kind, count=2).images(), found[:2])
    draws = [die(3, "drawn", 4)]
    alone = made.model(made.model.draw(draws), made.model.draw_noise(draws))
    assert np.abs(to_uint8(alone)[0].astype(int) - found[4]).max() <= 1
    assert not np.array_equal(found[0], found[1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_walk_begins_and_ends_at_drawn_latents(kind: str) -> None:
    made = sampler(kind)
    found = made.walk()
    assert found.shape == (2, 3, SIZE, SIZE, 3)
    for end, place in (("from", 0), ("to", 2)):
        drawn = made.model(made.model.draw([die(3, "walk", 1, end)]))
        assert np.abs(to_uint8(drawn)[0].astype(int) - found[1, place]).max() <= 1


def test_the_arc_keeps_the_length_and_w_is_walked_straight() -> None:
    a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    share = torch.tensor([[0.0], [1 / 3], [1.0]])
    assert torch.allclose(arc(a, b, share), torch.tensor([[2.0, 0], [3**0.5, 1], [0, 2]]), atol=1e-6)
    assert torch.allclose(arc(a, 2 * a, share), torch.tensor([[2.0, 0], [2 + 2 / 3, 0], [4, 0]]), atol=1e-6), "on one line"
    model = generator("style")
    z = model.draw([die(0, "a"), die(0, "b")])
    middle = between(model, z[:1], z[1:], 3)[1]
    assert torch.allclose(middle, model.map(z).mean(0), atol=1e-6)


def test_what_is_written_is_read_and_a_torn_folder_is_named(tmp_path: Path) -> None:
    samples = sampled(sampler("style"), "toy", "photos")
    write_samples(tmp_path / "toy", samples)
    found = read_samples(tmp_path / "toy")
    assert found.about == samples.about
    assert np.array_equal(found.images, samples.images)
    assert np.array_equal(found.walk, samples.walk)
    card = read_json(tmp_path / "toy/samples.json")
    wanted = {"name": "toy", "kind": "gan", "dataset": "photos", "size": SIZE, "n": 5, "seed": 3, "truncation": 1.0}
    assert card == wanted
    np.save(tmp_path / "toy/images.npy", samples.images[:4])
    with pytest.raises(UserError, match=r"toy is incomplete.*samples.json has 5 of 16 px"):
        read_samples(tmp_path / "toy")
    (tmp_path / "toy/walk.npy").unlink()
    with pytest.raises(UserError, match="run train_gan again"):
        read_samples(tmp_path / "toy")
