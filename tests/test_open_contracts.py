"""Whatever a data part brings reaches the networks untouched: tokens, several conditions, labels of every kind.

And what the engine estimates for its own comfort never stops a run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

import ganzoo
from ganzoo import errors

SHAPE = (1, 4, 4)


class Items(Dataset[Any]):
    """Sixteen items, each a mapping of an image and other tensors."""

    def __init__(self, **others: Tensor) -> None:
        self.images = torch.rand(16, *SHAPE, generator=torch.Generator().manual_seed(0)) * 2 - 1
        self.others = others

    def __len__(self) -> int:
        return 16

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        return {"image": self.images[i], **{name: values[i] for name, values in self.others.items()}}


class Given(ganzoo.Data):
    """Data of one of several kinds."""

    brings: str = "tokens"

    def dataset(self) -> Dataset[Any]:
        tokens = torch.arange(48).reshape(16, 3) % 7
        if self.brings == "tokens":
            return Items(tokens=tokens)
        if self.brings == "two":
            return Items(condition=torch.linspace(-1, 1, 32).reshape(16, 2), mask=tokens > 3)
        if self.brings == "multilabel":
            return Items(label=(tokens > 2).long())
        if self.brings == "continuous":
            return Items(label=torch.linspace(-1, 1, 16, dtype=torch.float64))
        return TensorDataset(Items().images, torch.linspace(-1, 1, 32).reshape(16, 2))


SEEN: list[dict[str, tuple[torch.dtype, tuple[int, ...]]]] = []


class Net(nn.Module):
    """Adds an embedding of every named tensor to a linear map; whole numbers go through ``nn.Embedding``."""

    def __init__(self, inside: int, outside: int, inputs: dict[str, ganzoo.TensorSpec], odd: bool) -> None:
        super().__init__()
        self.main, self.odd = nn.Linear(inside, outside), odd
        self.maps = nn.ModuleDict(
            {
                name: nn.Linear(max(1, torch.Size(each.shape).numel()), outside)
                if each.dtype == "float"
                else nn.Embedding(8, outside)
                for name, each in inputs.items()
            }
        )

    def forward(self, x: Tensor, labels: Tensor | None = None, **inputs: Tensor) -> Tensor:
        named = inputs if labels is None else {"labels": labels, **inputs}
        SEEN.append({name: (value.dtype, tuple(value.shape[1:])) for name, value in named.items()})
        if self.odd:
            float(x.detach().sum())  # a number that the meta device does not have
        out: Tensor = self.main(x.flatten(1))
        for name, value in named.items():
            if value.is_floating_point():
                out = out + self.maps[name](value.reshape(len(value), -1))
            else:
                out = out + self.maps[name](value.long()).flatten(1, -2).sum(1)
        return out


class Takes(ganzoo.Architecture):
    """Networks that take whatever the data brings."""

    odd: bool = False

    def generator(self, spec: ganzoo.Spec) -> nn.Module:
        return _Shaped(Net(spec.latent_dim, 16, dict(spec.inputs), self.odd))

    def discriminator(self, spec: ganzoo.Spec) -> nn.Module:
        return Net(16, 1, dict(spec.inputs), self.odd)


class _Shaped(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, *given: Tensor, **named: Tensor) -> Tensor:
        return torch.tanh(self.net(*given, **named)).view(-1, *SHAPE)


EXPECTED = {
    "tokens": {"tokens": (torch.int64, (3,))},
    "two": {"condition": (torch.float32, (2,)), "mask": (torch.bool, (3,))},
    "multilabel": {"labels": (torch.int64, (3,))},
    "continuous": {"labels": (torch.float32, ())},
    "resident": {"labels": (torch.float32, (2,))},
}


def train(tmp_path: Path, brings: str, odd: bool = False, **settings: Any) -> ganzoo.Run:
    SEEN.clear()
    return ganzoo.run(
        arch=Takes(odd=odd),
        data=Given(brings=brings),
        loss="hinge",
        regularizers=["r1"],
        schedule="onestep",
        optimizer="sgd:lr=0.1",
        batch_size=4,
        latent_dim=3,
        steps=4,
        samples=4,
        sample_every=2,
        checkpoint_every=2,
        logdir=str(tmp_path),
        name=brings,
        device="cpu",
        quiet=True,
        **{"precision": "fp32", **settings},
    )


@pytest.mark.parametrize("brings", EXPECTED)
def test_named_tensors_reach_both_networks(tmp_path: Path, brings: str) -> None:
    run = train(tmp_path, brings)
    assert SEEN
    assert all(seen == EXPECTED[brings] for seen in SEEN)
    assert run.spec.classes == 0
    assert set(run.spec.inputs) == set(EXPECTED[brings])


@pytest.mark.parametrize("brings", EXPECTED)
def test_such_a_run_is_loaded_resumed_and_sampled(tmp_path: Path, brings: str) -> None:
    run = train(tmp_path, brings)
    again = ganzoo.load(run.dir, arch=Takes(), data=Given(brings=brings))
    assert dict(again.spec.inputs) == dict(run.spec.inputs)
    data = Given(brings=brings).dataset()
    items = [data[i] for i in range(2)]
    named = {
        name: torch.stack(
            [item[1] if isinstance(item, tuple) else item["label" if name == "labels" else name] for item in items]
        )
        for name in run.spec.inputs
    }
    assert torch.equal(again.sample(2, inputs=named), run.sample(2, inputs=named))
    with pytest.raises(errors.SettingsError, match=r"inputs: none given, and this run makes each sample for "):
        again.sample(2)
    further = ganzoo.resume(run.dir, steps=6, arch=Takes(), data=Given(brings=brings), quiet=True)
    assert further.step == 6


def test_micro_batches_cut_every_named_tensor(tmp_path: Path) -> None:
    run = train(tmp_path, "two", accumulate=2)
    assert run.step == 4
    assert all(seen == EXPECTED["two"] for seen in SEEN)


def test_networks_that_cannot_be_counted_are_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The forward pass reads a value, which the meta device does not have: threads are chosen without the count."""
    before = torch.get_num_threads()
    assert train(tmp_path, "tokens", odd=True, precision="auto").step == 4
    assert torch.get_num_threads() == before
    assert "Traceback" not in capsys.readouterr().err


def test_a_net_of_the_zoo_refuses_what_it_cannot_take(tmp_path: Path) -> None:
    with pytest.raises(errors.Incompatible, match=r"this data gives tokens of shape \(3,\)"):
        ganzoo.run(arch="mlp", data=Given(), logdir=str(tmp_path), batch_size=4, steps=1, quiet=True)
