"""O-GAN: the correlation, whom it teaches, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import ganzoo
from ganzoo.errors import Incompatible, SettingsError


def scores(z: Any, e: Any, real: Any = (1.0, -0.5), fake: Any = (0.5, -2.0)) -> ganzoo.Scores:
    z, e, real, fake = (torch.as_tensor(x, dtype=torch.float64) for x in (z, e, real, fake))
    return ganzoo.Scores(
        real=real, fake=fake, latent=z, real_output={"embedding": e}, fake_output={"logits": fake, "embedding": e}
    )


def rho(z: Any, e: Any) -> Tensor:
    loss: Any = ganzoo.part("loss", "ogan")
    return loss.correlation(scores(z, e))


def test_the_correlation_is_pearsons() -> None:
    assert float(rho([[1.0, 2, 3, 4]], [[2.0, 1, 4, 3]])) == pytest.approx(0.6, abs=1e-7)
    z = torch.randn(5, 7, dtype=torch.float64)
    for a in (3.0, -0.25):
        assert float(rho(z, a * z + 2)) == pytest.approx(1 if a > 0 else -1, abs=1e-6)
    e = torch.randn(5, 7, dtype=torch.float64)
    due = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(z, e, strict=True)]).mean()
    assert_close(rho(z, e), due, atol=1e-7, rtol=0)


def test_its_slope_is_orthogonal_to_the_score_and_to_the_length() -> None:
    z, e = torch.randn(3, 9, dtype=torch.float64), torch.randn(3, 9, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(rho(z, e), e)
    assert slope.abs().max() > 1e-3
    assert_close(slope.sum(1), torch.zeros(3, dtype=torch.float64), atol=1e-12, rtol=0)
    radial = (slope * (e - e.mean(1, keepdim=True))).sum(1)
    assert_close(radial, torch.zeros(3, dtype=torch.float64), atol=1e-8, rtol=0)


def test_distance_of_standardised_vectors_is_two_less_two_rho() -> None:
    loss: Any = ganzoo.part("loss", "ogan:eps=0")
    z, e = torch.randn(1, 9, dtype=torch.float64), torch.randn(1, 9, dtype=torch.float64)
    gap = (loss.standardised(z) - loss.standardised(e)).square().mean()
    assert_close(gap, 2 - 2 * loss.correlation(scores(z, e)), atol=1e-12, rtol=0)


def test_a_constant_embedding_has_a_finite_slope() -> None:
    e = torch.full((2, 4), 0.3, requires_grad=True)
    value = rho(torch.randn(2, 4), e)
    (slope,) = torch.autograd.grad(value, e)
    assert value.isfinite()
    assert slope.isfinite().all()


@pytest.mark.parametrize("form", ["hinge", "lsgan", "rpgan", "sgan"])
def test_both_players_pay_for_it_beside_the_adversarial_loss(form: str) -> None:
    s = scores([[1.0, 2, 3, 4]] * 2, [[2.0, 1, 4, 3]] * 2)
    base, loss = ganzoo.part("loss", form), ganzoo.part("loss", f"ogan:form={form},weight=2")
    for player in ("discriminator", "generator"):
        due = getattr(base, player)(s) - 2 * 0.6
        assert_close(getattr(loss, player)(s), due, atol=1e-6, rtol=0)
    assert loss.has_targets == base.has_targets
    assert loss.bounded == base.bounded


def test_the_score_is_the_average_of_the_embedding(experiment: Any) -> None:
    torch.manual_seed(0)  # a code of small variance would come out below 1, by the epsilon of the normalisation
    for arch in ("dcgan:width=4,embedding=latent", "mlp:width=8,embedding=latent", "dcgan:width=4,embedding=6"):
        run = experiment(arch=arch).run
        output = run.discriminator(torch.randn(3, *run.spec.shape))
        assert_close(output["logits"], output["embedding"].mean(1))
        code = run.parts.architecture.encode(run.discriminator, torch.randn(3, *run.spec.shape), ganzoo.Batch())
        assert_close(code.mean(1), torch.zeros(3), atol=1e-5, rtol=0)
        assert_close(code.var(1, correction=0), torch.ones(3), atol=1e-2, rtol=0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"arch": "dcgan:width=4,embedding=6"}, "6 and 4 numbers: use --latent-dim 6"),
        ({"arch": "dcgan:width=4"}, "this one gives only logits: use an architecture with an embedding"),
    ],
)
def test_a_discriminator_that_is_no_encoder_of_the_noise_is_refused(
    experiment: Any, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(Incompatible, match=said) as caught:
        experiment(loss="ogan", **settings)
    assert "\n" not in str(caught.value)


def test_images_are_reconstructed_by_the_average_of_the_generator(experiment: Any) -> None:
    run = experiment(loss="ogan", arch="dcgan:width=4,embedding=latent").run
    images = torch.rand(5, *run.spec.shape) * 2 - 1
    made = run.reconstruct(images)
    run.discriminator.eval()
    e = run.discriminator(images)["embedding"]
    e = (e - e.mean(1, keepdim=True)) / e.std(1, correction=0, keepdim=True)
    assert_close(made, run.ema(e), atol=1e-4, rtol=1e-4)
    assert not torch.equal(run.reconstruct(images, scale=0.5), made)
    with pytest.raises(SettingsError, match="images of 3x5x5 cannot be reconstructed"):
        run.reconstruct(torch.zeros(2, 3, 5, 5))


def test_a_run_that_encodes_nothing_says_so(experiment: Any) -> None:
    run = experiment(arch="dcgan:width=4,embedding=latent").run
    with pytest.raises(Incompatible, match="does not teach the discriminator to encode"):
        run.reconstruct(torch.zeros(1, *run.spec.shape))
    part: Any = ganzoo.part("architecture", "dcgan")
    with pytest.raises(Incompatible, match="has no encoder"):
        part.encode(run.discriminator, torch.zeros(1, *run.spec.shape), ganzoo.Batch())
