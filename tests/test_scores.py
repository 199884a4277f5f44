"""Batches and scores: lazy values, and views that forget nothing."""

import gc
import weakref

import pytest
import torch
from torch import tensor

import ganzoo
from ganzoo import Batch, Scores
from ganzoo.errors import Incompatible

ROWS = tensor([2, 0])


def labelled(**more):
    """Scores whose judge and generate show which labels and inputs they were called with."""
    return Scores(
        real=tensor([1.0, 2.0, 3.0]),
        fake=tensor([-1.0, -2.0, -3.0]),
        real_batch=Batch(images=torch.arange(3.0), labels=tensor([10, 11, 12]), tokens=tensor([[1], [2], [3]])),
        fake_batch=Batch(latent=tensor([[0.1], [0.2], [0.3]]), labels=tensor([20, 21, 22])),
        judge=lambda images, s, fake, as_is: images + (s.fake_labels if fake else s.labels) + 1000.0 * as_is,
        generate=lambda latent, s: latent + s.fake_batch["labels"][:, None],
        **more,
    )


def test_a_batch_is_a_mapping_of_the_tensors_that_it_has():
    batch = Batch(images=torch.zeros(4, 1), labels=None, tokens=torch.arange(8).reshape(4, 2))
    assert (list(batch), len(batch), batch.size) == (["images", "tokens"], 2, 4)
    assert batch.labels is None
    assert batch.get("labels") is None
    assert list(batch.inputs) == ["tokens"]
    assert batch["tokens"].dtype == torch.int64
    assert batch != Batch(**batch)  # compared by identity: tensors have no single truth value
    with pytest.raises(AttributeError, match="has no latent; its tensors are images, tokens"):
        _ = batch.latent
    with pytest.raises(AttributeError):
        batch.mask = torch.zeros(4)
    assert (Batch().size, repr(Batch(a=torch.zeros(2, 3)))) == (0, "Batch(a: (2, 3))")


def test_batches_are_changed_cut_and_mapped():
    batch = Batch(latent=torch.arange(5.0)[:, None], labels=torch.arange(5))
    assert list(batch.replace(labels=None, mask=torch.ones(5))) == ["latent", "mask"]
    assert batch.rows(tensor([4, 1])).labels.tolist() == [4, 1]
    assert batch.rows(batch.labels > 2).latent.tolist() == [[3], [4]]
    assert [cut.labels.tolist() for cut in batch.split(2)] == [[0, 1], [2, 3], [4]]
    assert batch.map(lambda x: -x).labels.tolist() == [0, -1, -2, -3, -4]


def test_a_formula_is_evaluated_once_when_it_is_first_read():
    read = []
    s = Scores(real=lambda s: read.append("real") or torch.ones(2), fake=lambda s: 2 * s.real)
    assert read == []
    assert s.fake.tolist() == s.fake.tolist() == [2, 2]
    assert read == ["real"]
    assert s.at(tensor([0])).real.tolist() == [1]
    assert read == ["real"]


def test_a_minibatch_is_freed_without_the_garbage_collector(experiment):
    game = experiment(arch="dcgan:width=4", loss="sgan").game
    gc.disable()
    try:
        s = game.round()
        _ = s.real
        seen = weakref.ref(s)
        del s
        assert seen() is None
    finally:
        gc.enable()


def test_what_was_not_given_is_told_from_what_does_not_exist():
    s = Scores(real=tensor([1.0]), real_batch=Batch(tokens=tensor([7])))
    assert s.tokens.tolist() == [7]
    assert (s.labels, s.fake_labels, s.real_target, s.fake_target, s.pieces) == (None, None, 1.0, 0.0, 1)
    for name in ("fake", "real_images", "latent"):
        with pytest.raises(AttributeError, match=f"made without {name}="):
            getattr(s, name)
    with pytest.raises(AttributeError, match=r"has no caption, and the data brings none; it has real, .*, tokens$"):
        _ = s.caption
    with pytest.raises(TypeError, match=r"Scores has no tokens: give one of real, .* in real_batch="):
        Scores(tokens=tensor([7]))
    for call in (s.judge, s.generate):
        with pytest.raises(AttributeError, match=r"made without (discriminator|generator)=, a function"):
            call(torch.zeros(1))


def test_batches_of_scores_made_by_hand_hold_what_was_given():
    s = Scores(real_images=torch.zeros(2, 1), labels=lambda s: tensor([0, 1]), latent=torch.ones(2, 3))
    assert (list(s.real_batch), list(s.fake_batch)) == (["images", "labels"], ["latent"])


def test_a_view_of_rows_judges_and_generates_with_the_labels_of_those_rows():
    s = labelled(
        real_output={"logits": tensor([1.0, 2.0, 3.0]), "features": [torch.arange(3), torch.arange(6).view(3, 2)]}
    )
    view = s.at(ROWS)
    assert (view.real.tolist(), view.fake.tolist(), view.labels.tolist()) == ([3, 1], [-3, -1], [12, 10])
    assert (view.tokens.tolist(), view.latent.shape, view.real_images.tolist()) == ([[3], [1]], (2, 1), [2, 0])
    assert [f.tolist() for f in view.real_output["features"]] == [[2, 0], [[4, 5], [0, 1]]]
    assert view.judge(torch.zeros(2)).tolist() == [12, 10]
    assert view.judge(torch.zeros(2), fake=True, as_is=True).tolist() == [1022, 1020]
    assert view.generate(torch.zeros(2, 1)).tolist() == [[22], [20]]
    assert view.at(tensor([1])).judge(torch.zeros(1)).tolist() == [10]
    assert (view.real_target, view.pieces) == (1.0, 1)


def test_a_negated_view_negates_every_score():
    s = labelled(real_output=tensor([1.0, 2.0, 3.0]), fake_output={"logits": tensor([-1.0]), "features": tensor([5.0])})
    view = s.negated()
    assert (view.real.tolist(), view.fake.tolist()) == ([-1, -2, -3], [1, 2, 3])
    assert view.judge(torch.zeros(3)).tolist() == [-10, -11, -12]
    assert view.real_output.tolist() == [-1, -2, -3]
    assert view.fake_output == {"logits": tensor([1.0]), "features": tensor([5.0])}
    assert torch.equal(view.real_images, s.real_images)
    assert view.generate(torch.zeros(3, 1)).tolist() == [[20], [21], [22]]
    assert view.negated().judge(torch.zeros(3)).tolist() == [10, 11, 12]


def test_a_reversed_view_swaps_the_roles():
    s = labelled(fake_images=-torch.arange(3.0), real_target=0.9)
    view = s.reversed()
    assert (view.real.tolist(), view.fake.tolist()) == (s.fake.tolist(), s.real.tolist())
    assert (view.labels.tolist(), view.fake_labels.tolist()) == ([20, 21, 22], [10, 11, 12])
    assert (view.real_target, view.fake_target) == (0.0, 0.9)
    assert torch.equal(view.real_images, s.fake_images)
    assert view.judge(torch.zeros(3)).tolist() == [20, 21, 22]
    assert view.judge(torch.zeros(3), fake=True).tolist() == [10, 11, 12]
    # fakes are generated from the latents and labels of the generator's own batch, whatever part they play
    assert view.generate(torch.zeros(3, 1)).tolist() == [[20], [21], [22]]
    assert torch.equal(view.latent, s.latent)


def test_views_of_views_forget_nothing():
    s = labelled()
    for view in (s.reversed().at(ROWS).negated(), s.negated().at(ROWS).reversed(), s.at(ROWS).negated().reversed()):
        assert view.real.tolist() == [3, 1]
        assert view.judge(torch.zeros(2)).tolist() == [-22, -20]
        assert view.generate(torch.zeros(2, 1)).tolist() == [[22], [20]]
        assert view.reversed().reversed().generate(torch.zeros(2, 1)).tolist() == [[22], [20]]


def test_the_samples_of_a_conditional_game_are_judged_with_their_own_labels(experiment):
    game = experiment(arch="dcgan:width=4,conditional=concat,norm=none", loss="sgan", regularizers=["none"]).game
    s = game.round()
    view = s.at(tensor([3, 5]))
    torch.testing.assert_close(view.judge(s.real_images[[3, 5]]), s.real[[3, 5]])
    torch.testing.assert_close(view.judge(s.fake_images[[3, 5]], fake=True), s.fake[[3, 5]])
    torch.testing.assert_close(view.generate(s.latent[[3, 5]]), s.fake_images[[3, 5]])
    torch.testing.assert_close(view.negated().judge(s.real_images[[3, 5]]), -s.real[[3, 5]])


def test_random_targets_are_drawn_once(experiment):
    game = experiment(arch="dcgan:width=4", loss="sgan", regularizers=["label-smoothing:mode=random"]).game
    s = game.round()
    first = s.real_target
    assert s.real_target is first
    assert s.at(ROWS).real_target.shape == (2,)


def test_a_minibatch_under_accumulation_cannot_be_read_by_a_schedule(experiment):
    game = experiment(arch="dcgan:width=4", loss="sgan", accumulate=2).game
    s = game.round()
    for read in (lambda: s.real, lambda: s.judge(torch.zeros(1)), lambda: s.at(ROWS).fake, lambda: s.negated().real):
        with pytest.raises(Incompatible, match="a schedule that reads a round's"):
            read()


def test_top_k_goes_together_with_a_loss_that_generates():
    class Generating(ganzoo.Loss):
        """A loss that generates other fakes."""

        def generator(self, s):
            return s.generate(-s.latent).mean()

    view = labelled().at(ROWS)
    assert Generating().generator(view).item() == pytest.approx((22 - 0.3 + 20 - 0.1) / 2)
