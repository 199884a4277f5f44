"""The exam that every part sits, the built-in ones and anyone's: in a plugin's tests

    from ganzoo.testing import parametrize_with_checks

    @parametrize_with_checks([SoftMargin, SoftMargin(margin=2.0)])
    def test_contract(part, check):
        check(part)

or ``check_part(SoftMargin, margin=2.0)`` anywhere. A check raises AssertionError and says what is wrong; its docstring
says what it assumes. Random numbers are seeded and put back; a GPU, where there is one, is examined too.
"""

from __future__ import annotations

import copy
import inspect
import math
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, Literal, NoReturn, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # the base of all; torch has no public name for "any BatchNorm"
from torch.nn.utils.parametrize import is_parametrized
from torch.utils.data import Dataset, TensorDataset

from ganzoo import parts, words
from ganzoo.errors import BadParameter, DataError, Incompatible
from ganzoo.names import nearest
from ganzoo.parts import KINDS, PLAYERS, Batch, Networks, Part, Player, Scores, Spec

F = TypeVar("F", bound=Callable[..., None])
_CHECKS: list[Check] = []


@dataclass(frozen=True)
class Check:
    """One question of the exam: call it with a part of its kind."""

    kind: str
    ask: Callable[[Any], None]

    @property
    def name(self) -> str:
        """``gradients_flow``, say."""
        return self.ask.__name__.strip("_")

    @property
    def summary(self) -> str:
        """What it asks, in a line."""
        return inspect.cleandoc(self.ask.__doc__ or "").split("\n", maxsplit=1)[0]

    @property
    def text(self) -> str:
        """All that it says of itself: what it asks, what it assumes, in one line."""
        return " ".join((self.ask.__doc__ or "").split())

    def __call__(self, part: Part) -> None:
        """Raise AssertionError, with the part's kind and class, this check's name, and what is wrong."""
        who = f"{part.kind} {type(part).__name__}, {self.name}"
        with torch.random.fork_rng():
            torch.manual_seed(0)
            try:
                self.ask(part)
            except AssertionError as error:
                raise AssertionError(f"{who}: {error}") from error
            except Exception as error:
                said = str(error).partition("\n")[0]  # gradcheck prints matrices
                raise AssertionError(f"{who}: raised {type(error).__name__}: {said}") from error


def checks_for(kind: str) -> tuple[Check, ...]:
    """The exam of a kind of part, in order.

    Raises:
        ValueError: there is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no kind of part; the kinds are {', '.join(KINDS)}")
    return tuple(check for check in _CHECKS if check.kind in ("any", kind))


def all_checks() -> tuple[Check, ...]:
    """Every check: those of every part (kind ``any``), then kind by kind."""
    return tuple(sorted(_CHECKS, key=lambda check: ("any", *KINDS).index(check.kind)))


def check_part(part: Part | type[Part], **parameters: Any) -> None:
    """Sit the whole exam.

    Args:
        part: a part, or its class.
        parameters: for the class to be made with.

    Raises:
        AssertionError: the first thing that is wrong.
        BadParameter: the class does not take these parameters.
    """
    made = _made(part, parameters)
    for check in checks_for(made.kind):
        check(made)


@dataclass(frozen=True)
class Outcome:
    """What came of one check.

    Attributes:
        check: the question.
        verdict: passed, failed, or expected failure.
        why: it failed; an expected failure's is the reason that was declared.
    """

    check: Check
    verdict: Literal["passed", "failed", "expected failure"]
    why: str = ""


def examine(part: Part | type[Part], expected_failures: Mapping[str, str] | None = None) -> Iterator[Outcome]:
    """Sit the whole exam, whatever fails: an outcome a check, in order.

    Args:
        part: a part, or its class.
        expected_failures: the name of each check that the part is known to fail, and the reason. One that passes after
            all has failed: the reason has gone.

    Raises:
        ValueError: an expected failure of a check that is not in the exam, or without a reason.
    """
    made = _made(part, {})
    reasons = _reasons(made, expected_failures)
    return (_outcome(made, check, reasons.get(check.name)) for check in checks_for(made.kind))


def _outcome(part: Part, check: Check, reason: str | None) -> Outcome:
    try:
        check(part)
    except AssertionError as error:
        why = str(error).partition(f", {check.name}: ")[2] or str(error)
        return Outcome(check, "failed", why) if reason is None else Outcome(check, "expected failure", reason)
    if reason is not None:
        return Outcome(check, "failed", f"it passes, and was expected to fail ({reason}): expect it no longer")
    return Outcome(check, "passed")


def _reasons(part: Part, expected: Mapping[str, str] | None) -> Mapping[str, str]:
    who, names = f"{part.kind} {type(part).__name__}", [check.name for check in checks_for(part.kind)]
    for name, reason in (expected or {}).items():
        if name not in names:
            raise ValueError(f"{who}: no check is named {name!r}{nearest(name, names)}")
        if not reason.strip():
            raise ValueError(f"{who}: {name} is expected to fail without a reason: give one")
    return expected or {}


def parametrize_with_checks(
    examined: Iterable[Part | type[Part]],
    expected_failures: Callable[[Part], Mapping[str, str]] | Mapping[str, str] | None = None,
) -> Callable[[F], F]:
    """A pytest decorator: ``test(part, check)`` once for each part and each check of its kind.

    Args:
        examined: parts, or their classes.
        expected_failures: the name of each check that the parts are known to fail, and the reason; or a function from
            a part to such a mapping. Pytest reports these as expected failures, and as failures where they pass.

    Raises:
        ValueError: an expected failure of a check that is not in the exam, or without a reason.
    """
    import pytest

    cases = []
    for i, part in enumerate(_made(part, {}) for part in examined):
        reasons = _reasons(part, expected_failures(part) if callable(expected_failures) else expected_failures)
        for check in checks_for(part.kind):
            marks = []
            if check.name in reasons:
                marks = [pytest.mark.xfail(strict=True, raises=AssertionError, reason=reasons[check.name])]
            cases.append(pytest.param(part, check, id=f"{type(part).__name__}{i}-{check.name}", marks=marks))
    return pytest.mark.parametrize(("part", "check"), cases)


def _made(part: Part | type[Part], parameters: Mapping[str, Any]) -> Part:
    if isinstance(part, type):
        return words.make(part, f"{part.kind} {part.__name__}", parameters)
    return words.remade(part, f"{part.kind} {type(part).__name__}")


def _asks(*kinds: str) -> Callable[[F], F]:
    def add(ask: F) -> F:
        _CHECKS.extend(Check(kind, ask) for kind in kinds)
        return ask

    return add


def _of_scores(ask: F) -> F:
    """What is asked of losses that are arithmetic on scores, and of no others."""

    @wraps(ask)
    def asked(loss: parts.Loss) -> None:
        if loss.reads_scores:
            ask(loss)

    return asked  # type: ignore[return-value]  # of the same signature


def _fail(message: str) -> NoReturn:
    raise AssertionError(message)


def _require(condition: object, message: str) -> None:
    if not condition:
        _fail(message)


def _near(a: Tensor, b: Tensor, rtol: float = 1e-9, atol: float = 1e-11) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=rtol, atol=atol)


def _finite(tensors: Iterable[Tensor | None]) -> bool:
    return all(bool(t.isfinite().all()) for t in tensors if t is not None)


def _number(t: Tensor) -> str:
    return f"{float(t.detach()):g}"


def _devices() -> list[str]:
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


# -- every part --------------------------------------------------------------------------------------------------------


@_asks("any")
def _says_what_it_is(part: Part) -> None:
    """The class has a docstring whose first line says what it is: ``ganzoo list`` shows it."""
    doc = type(part).__dict__.get("__doc__") or ""  # a dataclass without one is given its signature
    _require(doc.strip() and not doc.startswith(f"{type(part).__name__}("), "the class has no docstring")
    _require(words.sections(doc).summary, "the docstring does not begin with a line that says what the part is")


@_asks("any")
def _parameters_are_documented(part: Part) -> None:
    """Each parameter has its meaning under ``Args:``, and nothing else is described there."""
    known = words.parameters(type(part))
    for name, parameter in known.items():
        _require(parameter.meaning, f"the parameter {name!r} has no line '{name}: what it means' under Args:")
    described = words.sections(inspect.getdoc(type(part)) or "").meanings
    strangers = sorted(described.keys() - known.keys())
    _require(not strangers, f"Args: describes {', '.join(strangers)}, which is no parameter; {list(known)} are")


@_asks("any")
def _parameters_are_validated(part: Part) -> None:
    """Each parameter has an annotation that refuses nonsense, and accepts the part's own value."""
    for name in words.parameters(type(part)):
        try:
            words.make(type(part), "part", {**words.plain(part), name: object()})
        except BadParameter:
            continue
        _fail(f"the parameter {name!r} accepts any object: annotate it with the type, range or choices it takes")


@_asks("any")
def _copies(part: Part) -> None:
    """A part is plain data: it is copied, pickled, and remade from what a config file holds of it."""
    plain = words.plain(part)
    copies = {
        "a deep copy": copy.deepcopy(part),
        "what pickle gives back": pickle.loads(pickle.dumps(part)),
        "what its own values make": words.make(type(part), "part", plain),
    }
    for what, other in copies.items():
        _require(words.plain(other) == plain, f"{what} has other values: {words.plain(other)} for {plain}")


# -- losses ------------------------------------------------------------------------------------------------------------

_R = (0.31, -0.73, 1.87, -2.41, 0.05, -0.22)  # scores that lie on the kink of no common loss
_F = (-0.44, 0.62, -1.36, 2.17, 0.13, -0.09)
_LESSONS: tuple[tuple[Player, str], ...] = (("discriminator", "real"), ("discriminator", "fake"), ("generator", "fake"))


def _scores(real: Tensor, fake: Tensor, rows: Tensor | None = None, **more: Any) -> Scores:
    """Scores by hand with images, latents and labels; ``rows`` picks whose they are."""
    generator = torch.Generator().manual_seed(1)
    rows = torch.arange(len(real)) if rows is None else rows

    def drawn(*shape: int) -> Tensor:
        return (2 * torch.rand(16, *shape, generator=generator, dtype=torch.float64) - 1)[rows].to(real)

    made: dict[str, Any] = {
        "real": real,
        "fake": fake,
        "real_images": drawn(3, 8, 8),
        "fake_images": drawn(3, 8, 8),
        "latent": drawn(8),
        "labels": (rows % 2).to(real.device),
        "fake_labels": ((rows + 1) % 2).to(real.device),
        "real_output": {"logits": real, "embedding": drawn(8), "features": [drawn(3, 8, 8), drawn(8)]},
        "fake_output": {"logits": fake, "embedding": drawn(8), "features": [drawn(3, 8, 8), drawn(8)]},
        "progress": 0.5,
        "discriminator": lambda images: images.flatten(1).mean(1),
        "generator": lambda latent: latent.repeat(1, 24).tanh().unflatten(1, (3, 8, 8)),
    }
    for output, scores in ((made["real_output"], real), (made["fake_output"], fake)):
        # two classes of one probability, whose logsumexp is the score
        output["class_logits"] = scores.reshape(-1, 1).expand(-1, 2) - math.log(2)
    return Scores(**{**made, **more})


def _tensors(real: Iterable[float] = _R, fake: Iterable[float] = _F, **how: Any) -> tuple[Tensor, Tensor]:
    how = {"dtype": torch.float64, **how}
    return torch.tensor(list(real), **how).requires_grad_(), torch.tensor(list(fake), **how).requires_grad_()


def _both(loss: parts.Loss, s: Scores) -> dict[Player, Tensor]:
    torch.manual_seed(0)
    for side in loss.needs_grad_of:  # scores that come from images, with a slope of zero
        images = getattr(s, f"{side}_images").requires_grad_()
        setattr(s, side, getattr(s, side) + 0 * images.sum())
    return {"discriminator": loss.discriminator(s), "generator": loss.generator(s)}


@_asks("loss")
@_of_scores
def _is_a_finite_scalar(loss: parts.Loss) -> None:
    """Both losses are 0-dimensional and finite, with finite gradients, at scores from -50 to 50."""
    for extreme in (1.0, 50.0):
        real, fake = _tensors(*(extreme * torch.cartesian_prod(t := torch.tensor([-1.0, 0.0, 1.0]), t).T))
        for player, value in _both(loss, _scores(real, fake)).items():
            _require(isinstance(value, Tensor), f"the {player}'s loss is a {type(value).__name__}, not a tensor")
            _require(value.shape == (), f"the {player}'s loss has shape {tuple(value.shape)}, not (): take the mean")
            _require(value.requires_grad, f"the {player}'s loss carries no gradient")
            slopes = torch.autograd.grad(value, (real, fake), allow_unused=True, retain_graph=True)
            _require(_finite([value, *slopes]), f"the {player}'s loss or its gradient is not finite at +-{extreme:g}")


@_asks("loss")
def _keeps_dtype_and_device(loss: parts.Loss) -> None:
    """A loss has the dtype and the device of the scores: float64, float32 and bfloat16."""
    for device in _devices():
        for dtype in (torch.float64, torch.float32, torch.bfloat16):
            for player, value in _both(loss, _scores(*_tensors(dtype=dtype, device=device))).items():
                found = f"{value.dtype} on {value.device.type}"
                _require(found == f"{dtype} on {device}", f"the {player}'s loss of {dtype} on {device} is {found}")


@_asks("loss")
@_of_scores
def _gradients_flow(loss: parts.Loss) -> None:
    """The discriminator learns from real and fake scores, the generator from the fake: nobody detaches them."""
    real, fake = _tensors()
    values = _both(loss, _scores(real, fake))
    for player, side in _LESSONS:
        scores = real if side == "real" else fake
        (slope,) = torch.autograd.grad(values[player], scores, allow_unused=True, retain_graph=True)
        _require(slope is not None and slope.any(), f"no gradient of the {player}'s loss reaches the {side} scores")


@_asks("loss")
@_of_scores
def _pulls_the_right_way(loss: parts.Loss) -> None:
    """High is real: where a player is wrong by 2, half a step right lowers its loss (for LSGAN's targets too)."""
    for player, side in _LESSONS:
        right = 1.0 if (player, side) != ("discriminator", "fake") else -1.0  # fakes are to rise for G, to fall for D
        values = []
        for wrong in (2.0, 1.5):
            scores = {"real": [0.0] * 4, "fake": [0.0] * 4, side: [-right * wrong] * 4}
            values.append(float(_both(loss, _scores(*_tensors(**scores)))[player].detach()))
        told = f"{side} scores that come half a step right take the {player}'s loss from {values[0]:g} to {values[1]:g}"
        _require(values[1] < values[0], f"{told}: is a sign flipped?")


@_asks("loss")
@_of_scores
def _learns_where_it_is_wrong(loss: parts.Loss) -> None:
    """At scores wrong by 50 the gradient is alive, unless the loss says ``saturates = True``.

    The usual cause is log(sigmoid(x) + eps); softplus(-x) is the same without the eps.
    """
    if getattr(loss, "saturates", False):
        return
    for player, side in _LESSONS:
        wrong = -50.0 if (player, side) != ("discriminator", "fake") else 50.0
        given = dict(zip(("real", "fake"), _tensors([0.0] * 4, [0.0] * 4), strict=True))
        given[side] = torch.full((4,), wrong, dtype=torch.float64, requires_grad=True)
        value = _both(loss, _scores(**given))[player]
        (slope,) = torch.autograd.grad(value, given[side], allow_unused=True)
        strength = 0.0 if slope is None else float(slope.abs().sum())
        told = f"the {player}'s gradient is {strength:.1e} at {side} scores of {wrong:g}"
        _require(strength > 1e-3, f"{told}: it cannot learn where it is most wrong (or say saturates = True)")


@_asks("loss")
def _is_a_mean_over_the_batch(loss: parts.Loss) -> None:
    """The batch twice over has the loss of the batch, and the order of its pairs does not matter."""
    real, fake = _tensors(_R[:4], _F[:4])
    whole = _both(loss, _scores(real, fake))
    for rows, what in (
        (torch.tensor([0, 1, 2, 3] * 2), "the batch twice over: is it a sum? take the mean"),
        (torch.tensor([2, 0, 3, 1]), "the same pairs in another order"),
    ):
        for player, value in _both(loss, _scores(real[rows], fake[rows], rows)).items():
            _require(
                _near(value, whole[player]),
                f"the {player}'s loss is {_number(value)} in place of {_number(whole[player])} for {what}",
            )


@_asks("loss")
def _never_pairs_all_with_all(loss: parts.Loss) -> None:
    """(N, 1) scores beside (N,) ones are refused or treated as (N,), never broadcast to (N, N)."""
    real, fake = _tensors()
    flat = _both(loss, _scores(real, fake))
    for r, f in ((real[:, None], fake), (real, fake[:, None])):
        for player in PLAYERS:
            try:
                value = _both(loss, _scores(r, f))[player]
            except Exception:
                continue  # refused
            same = value.shape == () and _near(value, flat[player])
            _require(same, f"the {player}'s loss of (N, 1) and (N,) scores is that of N x N pairs: compare the shapes")


@_asks("loss")
def _leaks_no_gradient(loss: parts.Loss) -> None:
    """A loss leaves no ``.grad`` behind, of any player: it is the game that takes each gradient, for its own player."""
    real, fake = _tensors()
    _both(loss, _scores(real, fake))
    _require(real.grad is None and fake.grad is None, "a gradient leaks: backward() reaches both players")


@_asks("loss")
def _changes_nothing(loss: parts.Loss) -> None:
    """Scores are left as they were, and the same scores have the same loss again."""
    real, fake = (t.detach().clone() for t in _tensors())
    kept = real.clone(), fake.clone()
    first, second = (_both(loss, _scores(real, fake)) for _ in range(2))
    _require(real.equal(kept[0]) and fake.equal(kept[1]), "the scores were changed in place")
    for player in PLAYERS:
        _require(first[player].equal(second[player]), f"the {player}'s loss changes from one call to the next")


@_asks("loss")
def _remembers_nothing(loss: parts.Loss) -> None:
    """A round has the same loss whenever it comes: what a loss counted or averaged would be lost on resume."""
    part = words.at(loss)
    real, fake = (t.detach() for t in _tensors())
    kept: list[Any] = []
    first = _both(part, _scores(real, fake))
    for i in range(12):  # others, at other times of the run
        _both(part, _scores(real * (1 + i), fake - i, progress=i / 12))
        kept.append(_remembered(part))
    _require_same(kept[0], kept[-1], "a regularizer may keep it, in a buffer of the module that prepare returns")
    for player, value in _both(part, _scores(real, fake)).items():
        told = f"{_number(first[player])} at first, and {_number(value)} after a dozen others"
        _require(value.equal(first[player]), f"the {player}'s loss of one round is {told}: it is lost on resume")


@_asks("loss")
@_of_scores
def _derivatives_are_right(loss: parts.Loss) -> None:
    """First and second derivatives are those of the value (float64 finite differences): penalties need both."""
    for player in PLAYERS:

        def value(real: Tensor, fake: Tensor, player: Player = player) -> Tensor:
            return _both(loss, _scores(real, fake))[player]

        torch.autograd.gradcheck(value, _tensors())
        torch.autograd.gradgradcheck(value, _tensors())


@_asks("loss")
def _facts_are_true(loss: parts.Loss) -> None:
    """``has_targets``, ``bounded`` and ``supports_shared_backward`` say what the losses do.

    One that watches images may be bounded by their slopes, which scores by hand do not have.
    """
    real, fake = _tensors()

    def moved(real_target: Tensor | float) -> Tensor:
        return _both(loss, _scores(real, fake, real_target=real_target))["discriminator"]

    if loss.has_targets:
        _require(not _near(moved(0.9), moved(1.0)), "has_targets, and a real target of 0.9 changes nothing")
        each = moved(torch.full_like(real, 0.9))
        _require(_near(each, moved(0.9)), "targets of 0.9, one for each sample, are not the target 0.9")
    else:
        _require(moved(0.9).equal(moved(1.0)), "it reads s.real_target: declare has_targets = True")
    if loss.bounded and not loss.needs_grad_of:
        apart = _both(loss, _scores(*_tensors([1e4] * 4, [-1e4] * 4)))["discriminator"]
        _require(apart > -1e3, f"the discriminator's loss falls to {_number(apart)}: say bounded = False")
    if loss.supports_shared_backward:
        real, fake = _tensors([0.3] * 8, [-19.3, -7.1, -1.7, -0.4, 0.6, 1.9, 6.7, 20.3])
        try:
            d, g = loss.discriminator(s := Scores(real=real, fake=fake)), loss.generator(s)
        except AttributeError as error:
            _fail(f"supports_shared_backward, and it reads more of fakes than their scores: {error}")
        a, c = (torch.autograd.grad(value, fake, materialize_grads=True)[0] for value in (d, g))
        flat = (a == 0) & (c != 0)
        _require(
            not flat.any(),
            "supports_shared_backward, and the discriminator's loss is flat at fake scores of "
            f"{', '.join(f'{f:g}' for f in fake[flat].tolist())}, where the generator's is not",
        )


# -- regularizers ------------------------------------------------------------------------------------------------------

_SPEC = Spec(shape=(3, 8, 8), latent_dim=8)
_HOOKS = (
    "prepare",
    "images",
    "targets",
    "discriminator_penalty",
    "generator_penalty",
    "joint_penalty",
    "observe",
    "select_samples",
    "modify_gradients",
    "after_update",
)


class _Round:
    """A small smooth GAN in float64 with a regularizer on it: what the engine makes of both, by hand."""

    def __init__(self, part: parts.Regularizer, *, linear: bool = False) -> None:
        torch.manual_seed(0)
        judge = (
            [nn.Flatten(), nn.Linear(192, 1)]
            if linear
            else [
                nn.Conv2d(3, 4, 3, stride=2, padding=1),
                nn.Tanh(),
                nn.Conv2d(4, 4, 3, stride=2, padding=1),
                nn.Softplus(),
                nn.Flatten(),
                nn.Linear(16, 1),
            ]
        )
        make = nn.Sequential(nn.Linear(8, 192), nn.Tanh(), nn.Unflatten(1, (3, 8, 8)))
        self.networks = Networks(make.double(), nn.Sequential(*judge, nn.Flatten(0)).double())
        self.part = words.at(part)
        module = self.part.prepare(self.networks, _SPEC)
        object.__setattr__(self.part, "module", module.double() if isinstance(module, nn.Module) else module)

    def judge(self, images: Tensor, s: Scores) -> Tensor:
        logits: Tensor = self.networks.discriminator(self.part.images(images, s))
        return logits

    def scores(self, generator_learns: bool = True, rows: Tensor | None = None) -> Scores:
        rows = torch.arange(6) if rows is None else rows
        s = _scores(torch.zeros(len(rows), dtype=torch.float64), torch.zeros(len(rows), dtype=torch.float64), rows)
        if "latent" in self.part.needs_grad_of and generator_learns:
            s.latent.requires_grad_()
        with torch.set_grad_enabled(generator_learns):
            s.fake_images = self.networks.generator(s.latent)
        if "real" in self.part.needs_grad_of:
            s.real_images.requires_grad_()
        if "fake" in self.part.needs_grad_of and not generator_learns:
            s.fake_images.requires_grad_()
        s.__dict__["discriminator"] = lambda images: self.judge(images, s)
        s.__dict__["generator"] = self.networks.generator
        s.real, s.fake = s.judge(s.real_images), s.judge(s.fake_images)
        s.real_output, s.fake_output = ({"logits": x, "features": [x[:, None]]} for x in (s.real, s.fake))
        s.real_target, s.fake_target = self.part.targets(s, 1.0, 0.0)
        return s

    def penalty(self, player: Player, seed: int = 0, **how: Any) -> Tensor:
        torch.manual_seed(seed)
        s = self.scores(**how)
        with torch.no_grad():
            self.part.observe(player, s)
        value: Tensor = getattr(self.part, f"{player}_penalty")(s)
        return value

    def learners(self, player: Player) -> list[nn.Parameter]:
        """What the player's penalty may teach: its own net, and the part's where that player trains it."""
        own = list(getattr(self.networks, player).parameters())
        if isinstance(self.part.module, nn.Module) and self.part.trained_by == player:
            own += self.part.module.parameters()
        return own

    def gradient(self, player: Player, **how: Any) -> list[Tensor | None]:
        value = self.penalty(player, **how)
        if not value.requires_grad:
            return [None]
        return list(torch.autograd.grad(value, self.learners(player), allow_unused=True))


def _penalties(part: parts.Regularizer) -> list[Player]:
    return [player for player in PLAYERS if part.defines(f"{player}_penalty") and player in part.paid_by]


@_asks("regularizer")
def _does_something(part: parts.Regularizer) -> None:
    """At least one method of the contract is defined, and the class facts are of their types."""
    _require(any(part.defines(hook) for hook in _HOOKS), f"it defines none of {', '.join(_HOOKS)}")
    watched = set(part.needs_grad_of)
    _require(
        watched <= {"real", "fake", "latent"}, f"needs_grad_of is {watched}: it holds 'real', 'fake' and 'latent' only"
    )
    _require(
        set(part.paid_by) <= {*PLAYERS},
        f"paid_by is {set(part.paid_by)}: it holds 'discriminator' and 'generator' only",
    )
    _require(part.trained_by in PLAYERS, f"trained_by is {part.trained_by!r}: it is 'discriminator' or 'generator'")
    flags = part.per_sample_gradients, part.constrains_discriminator
    _require(all(isinstance(flag, bool) for flag in flags), "per_sample and constrains are True or False")


@_asks("regularizer")
def _penalty_is_a_finite_scalar(part: parts.Regularizer) -> None:
    """A penalty is 0-dimensional and finite."""
    for player in _penalties(part):
        value = _Round(part).penalty(player)
        _require(value.shape == (), f"the {player}'s penalty has shape {tuple(value.shape)}, not (): take the mean")
        _require(_finite([value]), f"the {player}'s penalty is {_number(value)}")


@_asks("regularizer")
def _penalty_teaches_its_player(part: parts.Regularizer) -> None:
    """A gradient of the penalty, finite and not zero, reaches the weights of the player that pays it.

    On a small net, or on one that is steeper by far: a penalty may be one-sided. One on a gradient needs
    ``torch.autograd.grad(..., create_graph=True)`` for it.
    """
    for player in _penalties(part):
        game = _Round(part)
        slopes = game.gradient(player)
        reached = any(g is not None and g.any() for g in slopes)
        if not reached:
            with torch.no_grad():
                for p in game.networks.discriminator.parameters():
                    p.mul_(5.0)
            slopes = game.gradient(player)
            reached = any(g is not None and g.any() for g in slopes)
        _require(reached, f"no gradient of the {player}'s penalty reaches it: was create_graph=True left out?")
        _require(_finite(slopes), f"the gradient of the {player}'s penalty is not finite")


@_asks("regularizer")
def _penalty_needs_no_graph_of_the_generator(part: parts.Regularizer) -> None:
    """The discriminator's penalty is the same on fakes that carry no gradient, as they come in its own moves."""
    if "discriminator" in _penalties(part):
        with_, without = (_Round(part).gradient("discriminator", generator_learns=learns) for learns in (True, False))
        for a, b in zip(with_, without, strict=True):
            same = a is b if a is None or b is None else _near(a, b)
            _require(same, "the discriminator's penalty differs when the fakes carry no gradient")


@_asks("regularizer")
def _penalty_survives_a_flat_discriminator(part: parts.Regularizer) -> None:
    """Penalty and gradient are finite where the discriminator is constant: sqrt(0) has an infinite slope."""
    for player in _penalties(part):
        game = _Round(part)
        if any(is_parametrized(m) for m in game.networks.discriminator.modules()):
            return  # a net whose weights cannot all be 0
        for p in game.networks.discriminator.parameters():
            nn.init.zeros_(p)
        if not _finite([game.penalty(player), *game.gradient(player)]):
            _fail(f"the {player}'s penalty or its slope is not finite at a constant discriminator: 1e-12 into the root")


@_asks("regularizer")
def _penalty_is_a_mean_over_the_batch(part: parts.Regularizer) -> None:
    """The batch twice over has the penalty of the batch: on a linear discriminator, whose slope is one everywhere.

    A penalty that is random there has no such law and is not asked.
    """
    for player in _penalties(part):
        game = _Round(part, linear=True)
        once, again = game.penalty(player), game.penalty(player, seed=1)
        if _near(once, again):
            twice = game.penalty(player, rows=torch.tensor([0, 1, 2, 3, 4, 5] * 2))
            said = f"{_number(twice)} for the batch twice over, {_number(once)} for the batch"
            _require(_near(twice, once), f"the {player}'s penalty is {said}: is it a sum? take the mean")


@_asks("regularizer")
def _second_derivatives_are_right(part: parts.Regularizer) -> None:
    """A gradient penalty's slope along a random direction of weights is that of its value (finite differences)."""
    if not (part.needs_grad_of or part.per_sample_gradients):
        return
    for player in _penalties(part):
        game = _Round(part)
        weights = game.learners(player)
        slopes = game.gradient(player)
        generator = torch.Generator().manual_seed(2)
        way = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in weights]
        told = sum(float((g * v).sum()) for g, v in zip(slopes, way, strict=False) if g is not None)
        values = []
        for h in (1e-6, -2e-6):  # one step on, two back
            with torch.no_grad():
                for p, v in zip(weights, way, strict=True):
                    p.add_(v, alpha=h)
            values.append(float(game.penalty(player).detach()))
        found = (values[0] - values[1]) / 2e-6
        same = math.isclose(told, found, rel_tol=1e-4, abs_tol=1e-6)
        _require(same, f"the {player}'s penalty has slope {found:g} where its gradient says {told:g}: part is detached")


@_asks("regularizer")
def _penalty_leaves_no_trace(part: parts.Regularizer) -> None:
    """No .grad is filled, no weight and no image changed: the game owns the gradients."""
    for player in _penalties(part):
        game = _Round(part)
        weights = [*game.learners("discriminator"), *game.learners("generator")]
        kept = [p.detach().clone() for p in weights]
        s = game.scores()
        images = s.real_images.detach().clone(), s.fake_images.detach().clone()
        getattr(game.part, f"{player}_penalty")(s)
        _require(all(p.grad is None for p in weights), f"the {player}'s penalty fills .grad: use torch.autograd.grad")
        _require(s.real_images.grad is None, f"the {player}'s penalty fills the images' .grad: use torch.autograd.grad")
        _require(all(p.equal(k) for p, k in zip(weights, kept, strict=True)), f"the {player}'s penalty changes weights")
        same = s.real_images.equal(images[0]) and s.fake_images.equal(images[1])
        _require(same, f"the {player}'s penalty changes images in place")


@_asks("regularizer")
def _images_stay_images(part: parts.Regularizer) -> None:
    """images() keeps shape, dtype and device, lets gradients through, and changes nothing in place."""
    if not part.defines("images"):
        return
    game = _Round(part)
    s = _scores(*_tensors())
    for device in _devices():
        for dtype in (torch.float32, torch.float64):
            given = s.real_images.detach().to(device, dtype)
            x = given.clone().requires_grad_()
            seen = game.part.images(x * 1, s)
            was = f"{tuple(x.shape)} {dtype} on {device}"
            found = f"{tuple(seen.shape)} {seen.dtype} on {seen.device.type}"
            _require(found == was, f"images() makes {found} of {was}")
            _require(_finite([seen]), "images() makes numbers that are not finite")
            slope = torch.autograd.grad(seen.sum(), x, allow_unused=True)[0] if seen.requires_grad else None
            alive = slope is not None and slope.any()
            _require(alive, "images() lets no gradient through: the generator learns nothing")
            y = given.clone()
            game.part.images(y, s)
            _require(y.equal(given), "images() changes its input in place")


@_asks("regularizer")
def _is_random_only_by_the_seed(part: parts.Regularizer) -> None:
    """Penalty and transform are a function of their input and torch's seed."""
    for player in _penalties(part):
        first, second = _Round(part).penalty(player), _Round(part).penalty(player)
        _require(first.equal(second), f"the {player}'s penalty differs under one torch.manual_seed")
    if part.defines("images"):
        first, second = _Round(part).scores().real, _Round(part).scores().real
        _require(first.equal(second), "images() differs under one torch.manual_seed")


@_asks("regularizer")
def _targets_are_targets(part: parts.Regularizer) -> None:
    """targets() gives a number or (N,) numbers for real and for fake, with no gradient."""
    if not part.defines("targets"):
        return
    s = _Round(part).scores()
    moved = part.targets(s, 1.0, 0.0)
    _require(isinstance(moved, tuple) and len(moved) == 2, "targets() does not give a pair: real and fake")
    for side, target in zip(("real", "fake"), moved, strict=True):
        _require(isinstance(target, (int, float, Tensor)), f"the {side} target is a {type(target).__name__}")
        t = torch.as_tensor(target)
        _require(t.shape in ((), s.real.shape), f"the {side} target has shape {tuple(t.shape)}, not () or (N,)")
        _require(_finite([t]) and not t.requires_grad, f"the {side} target is not finite, or carries a gradient")


@_asks("regularizer")
def _joint_penalty_is_a_finite_scalar(part: parts.Regularizer) -> None:
    """joint_penalty() of both players' gradients is 0-dimensional, finite, and can be differentiated by each."""
    if not part.defines("joint_penalty"):
        return
    for size in (0.0, 1.0):
        given: dict[Player, list[Tensor]] = {
            player: [(size * torch.randn(shape)).requires_grad_() for shape in ((3, 2), (4,))] for player in PLAYERS
        }
        value = part.joint_penalty(given)
        _require(value.shape == (), f"joint_penalty() has shape {tuple(value.shape)}, not ()")
        slopes = torch.autograd.grad(value, [g for each in given.values() for g in each], allow_unused=True)
        _require(_finite([value, *slopes]), "joint_penalty() or its slope is not finite")
        alive = size == 0 or all(g is not None and g.any() for g in slopes)
        _require(alive, "joint_penalty() does not depend on each gradient that it is given")


@_asks("regularizer")
def _rows_are_rows(part: parts.Regularizer) -> None:
    """select_samples() gives numbers of samples of the round, each once, one at least."""
    if part.defines("select_samples"):
        s = _Round(part).scores()
        rows = part.select_samples(s)
        _require(
            rows.ndim == 1 and rows.dtype == torch.long, f"select_samples() gives {tuple(rows.shape)} {rows.dtype}"
        )
        found = rows.tolist()
        whole = found and len({*found}) == len(found) and {*found} <= {*range(len(s.fake))}
        _require(
            whole, f"select_samples() gives {found} for {len(s.fake)} samples: numbers from 0, each once, one at least"
        )


@_asks("regularizer")
def _gradients_stay_gradients(part: parts.Regularizer) -> None:
    """modify_gradients() keeps number, shapes and types, stays finite at zero, and changes nothing in place."""
    if not part.defines("modify_gradients"):
        return
    for player in PLAYERS:
        for size in (0.0, 1e-3, 1e3):
            given = [size * torch.randn(shape, dtype=torch.float64) for shape in ((3, 2), (4,))]
            kept = [g.clone() for g in given]
            made = part.modify_gradients(player, given)
            same = [(g.shape, g.dtype) for g in made] == [(g.shape, g.dtype) for g in given]
            _require(same, f"modify_gradients({player!r}) gives others than the parameters have")
            _require(_finite(made), f"modify_gradients({player!r}) are not finite")
            _require(all(g.equal(k) for g, k in zip(given, kept, strict=True)), "gradients() are changed in place")


@_asks("regularizer")
def _reports_scalars(part: parts.Regularizer) -> None:
    """report() gives finite 0-dimensional tensors by name, from the part of a run."""
    if part.defines("report"):
        game = _Round(part)
        game.scores()
        for name, value in game.part.report().items():
            _require(isinstance(value, Tensor) and value.shape == (), f"report() gives no scalar tensor for {name}")
            _require(_finite([value]), f"report() gives {_number(value)} for {name}")


@_asks("regularizer")
def _after_update_keeps_to_the_player(part: parts.Regularizer) -> None:
    """after_update() leaves the other player alone, and weights of the shapes and kinds that they were."""
    if not part.defines("after_update"):
        return
    for player, other in (PLAYERS, PLAYERS[::-1]):
        game = _Round(part)
        module, bystander = getattr(game.networks, player), getattr(game.networks, other)
        kept = copy.deepcopy(bystander.state_dict())
        before = {name: (p.shape, p.dtype, p.requires_grad) for name, p in module.named_parameters()}
        with torch.no_grad():
            game.part.after_update(player, module)
        after = {name: (p.shape, p.dtype, p.requires_grad) for name, p in module.named_parameters()}
        _require(after == before, f"after_update() changes what parameters the {player} has")
        same = all(v.equal(kept[k]) for k, v in bystander.state_dict().items())
        _require(same, f"after_update({player!r}) changes the {other}")
        s = game.scores()
        _require(_finite([s.real, s.fake]), f"scores are not finite after after_update({player!r})")


@_asks("regularizer")
def _keeps_its_state_in_its_module(part: parts.Regularizer) -> None:
    """What a round changes in the part is in the module that prepare returns: anything else is lost on resume.

    The first round may compute constants; it is the second that must change nothing outside of the module. And a part
    that was stopped, with its nets, and loaded goes on as if it had not been.
    """

    def play(game: _Round, seed: int) -> list[Tensor]:
        torch.manual_seed(seed)
        s = game.scores()
        told = [s.real, s.fake, *map(torch.as_tensor, (s.real_target, s.fake_target))]
        for player in PLAYERS:
            with torch.no_grad():
                game.part.observe(player, s)
            if player in _penalties(part):
                told.append(game.penalty(player, seed))
            with torch.no_grad():
                game.part.after_update(player, getattr(game.networks, player))
        return told

    game, again = _Round(part), _Round(part)
    play(game, 1)
    before = _remembered(game.part)
    play(game, 2)
    _require_same(before, _remembered(game.part), "keep it in a buffer of the module that prepare returns")
    for mine, theirs in zip((*again.networks, again.part.module), (*game.networks, game.part.module), strict=True):
        if isinstance(mine, nn.Module):
            mine.load_state_dict(theirs.state_dict())
    for seed in (3, 4):
        for a, b in zip(play(game, seed), play(again, seed), strict=True):
            told = "what it changes is not all in the state_dict of the nets, or of the module that prepare returns"
            _require(a.equal(b), f"a part that was stopped and loaded does not go on as if it had not been: {told}")


def _remembered(part: Part) -> dict[str, Any]:
    """What a part remembers, itself or in its class, beside the module that is saved with a run."""
    own = {name: value for name, value in vars(part).items() if name not in ("module", "_courses")}
    shared = {
        f"{cls.__name__}.{name}": value
        for cls in type(part).__mro__
        if cls.__module__ not in (parts.__name__, "builtins")
        for name, value in vars(cls).items()
        if not name.startswith("__")
    }
    return {name: _memory(value) for name, value in {**own, **shared}.items()}


def _require_same(before: Mapping[str, Any], after: Mapping[str, Any], instead: str) -> None:
    changed = [name for name in after if name not in before or after[name] != before[name]]
    _require(not changed, f"{', '.join(changed)} changes from round to round, and is not saved: {instead}")


def _memory(value: Any) -> Any:
    """What a value remembers, as something that can be compared; modules are the nets', or saved by themselves."""
    if isinstance(value, Tensor):
        return value.detach().cpu().tolist()
    if isinstance(value, torch.Generator):
        return value.get_state().tolist()
    if isinstance(value, Mapping):
        return {repr(key): _memory(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_memory(each) for each in value]
    if isinstance(value, (nn.Module, type)):
        return id(value)
    if hasattr(value, "__dict__"):
        return {name: _memory(each) for name, each in vars(value).items()}
    return repr(value)  # numbers, text, sets, queues, counters; an object's address where it says no more


@_asks("regularizer")
def _prepared_nets_work(part: parts.Regularizer) -> None:
    """After prepare() both nets still run and learn, and their state goes to disk and back."""
    if not part.defines("prepare"):
        return
    game = _Round(part)
    for _ in range(3):
        s = game.scores()
    _require(_finite([s.real, s.fake]), "scores are not finite after prepare()")
    for player, net in game.networks._asdict().items():
        slopes = torch.autograd.grad(s.fake.sum(), list(net.parameters()), allow_unused=True, retain_graph=True)
        _require(any(g is not None and g.any() for g in slopes), f"after prepare() no gradient reaches the {player}")
    again = _Round(part)
    for module in (*game.networks, *again.networks):
        module.eval()
    for mine, theirs in zip(again.networks, game.networks, strict=True):
        mine.load_state_dict(theirs.state_dict())
    torch.manual_seed(0)
    first = game.scores()
    torch.manual_seed(0)
    second = again.scores()
    _require(_near(first.fake, second.fake), "prepared nets that were loaded from a state_dict score otherwise")


# -- architectures -----------------------------------------------------------------------------------------------------

_SHAPES = ((1, 8, 8), (3, 32, 32), (2,), (16,))


def _built(part: parts.Architecture, only: int | None = None) -> list[tuple[Spec, Networks]]:
    """The nets for each shape that the architecture takes; it refuses the others with Incompatible."""
    built = []
    for shape in _SHAPES:
        for classes, condition in ((part.classes(3), None), (part.classes(3), shape)):
            spec = Spec(shape=shape, latent_dim=6, classes=classes, condition_shape=condition)
            torch.manual_seed(0)
            try:
                built.append((spec, part.build(spec)))
            except Incompatible:
                continue
            if only is not None and len(built) == only:
                return built
            break  # a condition only where it cannot do without
    _require(built, f"it builds for none of the shapes {', '.join(map(str, _SHAPES))}")
    return built


def _batch(spec: Spec, count: int = 3, dtype: torch.dtype = torch.float32, seed: int = 0) -> Batch:
    g = torch.Generator().manual_seed(seed)
    return Batch(
        images=torch.rand(count, *spec.shape, generator=g, dtype=dtype) * 2 - 1,
        latent=torch.randn(count, spec.latent_dim, generator=g, dtype=dtype),
        labels=torch.arange(count) % spec.classes if spec.classes else None,
        condition=torch.rand(count, *shape, generator=g, dtype=dtype) if (shape := spec.condition_shape) else None,
    )


def _generated(part: parts.Architecture, nets: Networks, batch: Batch) -> Tensor:
    return part.generate(nets.generator, batch.replace(images=None))


def _judged(part: parts.Architecture, nets: Networks, images: Tensor, batch: Batch) -> Tensor:
    """(N,) scores, as the engine reads them."""
    output = part.judge(nets.discriminator, images, batch.replace(images=images, latent=None))
    _require(not isinstance(output, Mapping) or "logits" in output, "judge() gives a mapping without 'logits'")
    logits = output["logits"] if isinstance(output, Mapping) else output
    _require(isinstance(logits, Tensor), f"judge() gives a {type(logits).__name__}: logits, or a mapping with 'logits'")
    found = tuple(logits.shape)
    _require(found[:1] == (len(images),), f"judge() gives logits of shape {found} for {len(images)} samples")
    scores: Tensor = logits.flatten(1).mean(1) if logits.ndim > 1 else logits
    return scores


@_asks("architecture")
def _makes_and_judges_samples(part: parts.Architecture) -> None:
    """For each shape that it takes: samples of that shape, finite scores, also of a single sample in evaluation."""
    for spec, nets in _built(part):
        for count, training in ((3, True), (1, False)):
            for net in nets:
                net.train(training)
            batch = _batch(spec, count)
            fake = _generated(part, nets, batch)
            found, due = tuple(fake.shape), (count, *spec.shape)
            _require(found == due, f"generate() makes samples of shape {found}, not {due}")
            score = _judged(part, nets, fake, batch)
            _require(_finite([fake, score]), f"samples or scores of shape {spec.shape} are not finite")


@_asks("architecture")
def _returns_what_it_says(part: parts.Architecture) -> None:
    """judge() returns, beside logits, what outputs() says, each tensor of the shape that it says."""
    for spec, nets in _built(part):
        batch = _batch(spec)
        assert batch.images is not None
        output = part.judge(nets.discriminator, batch.images, batch)
        extra = {key: value for key, value in output.items() if key != "logits"} if isinstance(output, Mapping) else {}
        found = {
            key: [tuple(t.shape[1:]) for t in ([value] if isinstance(value, Tensor) else value)]
            for key, value in extra.items()
        }
        said = {key: [tuple(shape) for shape in shapes] for key, shapes in part.outputs(spec).items()}
        _require(found == said, f"judge() returns {found} beside logits, and outputs() says {said}")


@_asks("architecture")
def _every_parameter_learns(part: parts.Architecture) -> None:
    """A gradient reaches every parameter of both players: none is forgotten in forward()."""
    for spec, nets in _built(part):
        batch = _batch(spec)
        assert batch.images is not None
        fake = _generated(part, nets, batch)
        score = _judged(part, nets, fake, batch).sum() + _judged(part, nets, batch.images, batch).square().sum()
        output = part.judge(nets.discriminator, batch.images, batch)
        extra = [value for key, value in output.items() if key != "logits"] if isinstance(output, Mapping) else []
        score = score + sum(t.square().sum() for each in extra for t in ([each] if isinstance(each, Tensor) else each))
        for player, net in nets._asdict().items():
            named = dict(net.named_parameters())
            _require(named, f"the {player} has no parameters")
            slopes = torch.autograd.grad(score, list(named.values()), allow_unused=True, retain_graph=True)
            dead = [name for name, g in zip(named, slopes, strict=True) if g is None]
            _require(not dead, f"no gradient reaches {', '.join(dead)} of the {player}")
            _require(any(g.any() for g in slopes), f"every gradient of the {player} is zero")
            _require(_finite(slopes), f"a gradient of the {player} is not finite")


@_asks("architecture")
def _noise_matters(part: parts.Architecture) -> None:
    """Other noise makes other samples, and other samples have other scores."""
    for spec, nets in _built(part):
        one, two = (_batch(spec, seed=seed) for seed in (0, 1))
        a, b = _generated(part, nets, one), _generated(part, nets, one.replace(latent=two.latent))
        if spec.condition_shape is None:
            _require(not _near(a, b, 1e-6, 1e-9), "the generator does not heed its noise")
        there, back = _judged(part, nets, a, one), _judged(part, nets, -a, one)
        _require(not there.equal(back), "the discriminator does not heed its input")


@_asks("architecture")
def _has_second_derivatives(part: parts.Architecture) -> None:
    """The slope of the scores by the samples can be differentiated by the weights: gradient penalties do that."""
    for spec, nets in _built(part):
        batch = _batch(spec)
        assert batch.images is not None
        images = batch.images.requires_grad_()
        score = _judged(part, nets, images, batch).sum()
        (slope,) = torch.autograd.grad(score, images, create_graph=True)
        weights = list(nets.discriminator.parameters())
        slopes = torch.autograd.grad(slope.square().sum(), weights, allow_unused=True)
        _require(any(g is not None and g.any() for g in slopes), "no second derivative reaches the discriminator")
        _require(_finite(slopes), "a second derivative is not finite")


@_asks("architecture")
def _samples_do_not_mix(part: parts.Architecture) -> None:
    """A sample's fate is its own: in evaluation always; while D trains unless a layer of it is there to mix.

    Such a layer is a BatchNorm, or has an attribute ``mixes_samples = True``.
    """
    for spec, nets in _built(part):
        batch, other = _batch(spec), _batch(spec, seed=1)
        assert batch.images is not None
        assert batch.latent is not None
        assert other.images is not None
        assert other.latent is not None
        mixed = torch.cat([batch.images[:1], other.images[1:]])
        layers = list(nets.discriminator.modules())
        mixer = any(isinstance(m, _BatchNorm) or getattr(m, "mixes_samples", False) for m in layers)
        if not mixer:
            a, b = (_judged(part, nets, images, batch)[0] for images in (batch.images, mixed))
            same = _near(a, b, 1e-4, 1e-5)
            _require(same, "a sample's score depends on the others, and no layer says mixes_samples = True")
        nets.generator.eval()
        latent = torch.cat([batch.latent[:1], other.latent[1:]])
        a, b = (_generated(part, nets, given)[0] for given in (batch, batch.replace(latent=latent)))
        _require(_near(a, b, 1e-4, 1e-5), "in evaluation a sample depends on the noise of the others")


@_asks("architecture")
def _starts_by_the_seed(part: parts.Architecture) -> None:
    """torch.manual_seed decides the first weights, and another seed makes others."""
    spec, nets = _built(part, only=1)[0]
    torch.manual_seed(0)
    same = part.build(spec)
    torch.manual_seed(1)
    other = part.build(spec)
    for player in PLAYERS:
        first, again, different = (getattr(n, player).state_dict() for n in (nets, same, other))
        _require(all(v.equal(again[k]) for k, v in first.items()), f"the {player} starts otherwise under one seed")
        _require(any(not v.equal(different[k]) for k, v in first.items()), f"the {player} ignores torch.manual_seed")


@_asks("architecture")
def _goes_to_disk_and_back(part: parts.Architecture) -> None:
    """The state_dict of both nets is all that there is to them."""
    spec, nets = _built(part, only=1)[0]
    torch.manual_seed(1)
    again = part.build(spec)
    batch = _batch(spec)
    _judged(part, nets, _generated(part, nets, batch), batch)  # running statistics move
    outputs = []
    for pair in (nets, again):
        for mine, theirs in zip(pair, nets, strict=True):
            mine.load_state_dict(copy.deepcopy(theirs.state_dict()))
            mine.eval()
        fake = _generated(part, pair, batch)
        outputs.append((fake, _judged(part, pair, fake, batch)))
    same = all(a.equal(b) for a, b in zip(*outputs, strict=True))
    _require(same, "nets that were loaded from a state_dict give other samples or scores")


@_asks("architecture")
def _keeps_its_state_in_its_nets(part: parts.Architecture) -> None:
    """Nets that were stopped and loaded from their state_dict go on as if they had not been, in training and after.

    What a round changes is a parameter or a persistent buffer; an attribute, or a buffer with persistent=False, is lost
    on resume.
    """

    def play(nets: Networks, seed: int) -> list[Tensor]:
        torch.manual_seed(seed)
        batch = _batch(spec, seed=seed)
        assert batch.images is not None
        fake = _generated(part, nets, batch)
        return [fake, _judged(part, nets, batch.images, batch), _judged(part, nets, fake, batch)]

    def counted(nets: Networks) -> dict[str, Any]:
        return _remembered(part) | {
            f"{player} {type(module).__name__}.{key}": value
            for player, net in nets._asdict().items()
            for module in net.modules()
            for key, value in vars(module).items()
            if isinstance(value, (int, float, str))
        }

    for spec, nets in _built(part):
        play(nets, 1)
        before = counted(nets)
        play(nets, 2)
        _require_same(before, counted(nets), "keep it in a buffer of the net")
        torch.manual_seed(0)
        again = part.build(spec)
        for mine, theirs in zip(again, nets, strict=True):
            mine.load_state_dict(theirs.state_dict())
        for seed, training in ((3, True), (4, True), (5, False)):
            for net in (*nets, *again):
                net.train(training)
            same = all(a.equal(b) for a, b in zip(play(nets, seed), play(again, seed), strict=True))
            told = "what a round changes must be a buffer, and a persistent one"
            _require(same, f"nets that were stopped and loaded do not go on as if they had not been: {told}")


@_asks("architecture")
def _runs_in_any_precision_and_layout(part: parts.Architecture) -> None:
    """float64 nets make float64 samples; channels-last changes nothing but the order in memory; so does a GPU."""
    for spec, nets in _built(part):
        double = Networks(*(copy.deepcopy(net).double() for net in nets))
        batch = _batch(spec, dtype=torch.float64)
        fake = _generated(part, double, batch)
        _require(fake.dtype == torch.float64, f"a float64 generator gives {fake.dtype} samples")
        score = _judged(part, double, fake, batch)
        _require(score.dtype == torch.float64, f"a float64 discriminator gives {score.dtype} scores")
        if len(spec.shape) == 3:
            last = Networks(*(copy.deepcopy(net).to(memory_format=torch.channels_last) for net in double))
            made = _generated(part, last, batch)
            seen = _judged(part, last, fake.contiguous(memory_format=torch.channels_last), batch)
            close = _near(made, fake, 1e-6, 1e-8) and _near(seen, score, 1e-6, 1e-8)
            _require(close, "samples or scores of channels-last nets differ")
        for device in _devices()[1:]:
            there = Networks(*(copy.deepcopy(net).to(device) for net in double))
            given = batch.replace(**{k: v.to(device) for k, v in vars(batch).items() if v is not None})
            made = _generated(part, there, given)
            seen = _judged(part, there, made, given)
            close = _near(made.cpu(), fake, 1e-6, 1e-8) and _near(seen.cpu(), score, 1e-6, 1e-8)
            _require(close, f"samples or scores differ on {device}")


# -- schedules ---------------------------------------------------------------------------------------------------------


_PAIR = Networks(nn.Linear(2, 2), nn.Linear(2, 1))


class _Table(parts.Game):
    """A game that writes down what a schedule does, and knows what it must not do."""

    def __init__(self) -> None:
        self.rounds: list[tuple[Scores, bool, dict[Player, Tensor]]] = []
        self.moves: list[tuple[Player, ...]] = []
        self.on_trial: set[Player] = set()  # players whose last move is to be taken back
        self.weights: dict[Player, list[Tensor]] = {
            player: list(getattr(_PAIR, player).parameters()) for player in PLAYERS
        }
        self.spent = 0  # rounds up to this one were judged by weights that have moved since
        self.used: set[int] = set()
        self.told: list[Any] = []  # all that was done, as something that can be compared

    def round(self, generator_learns: bool = True) -> Scores:
        self.told.append(("round", generator_learns))
        seats: dict[Player, Tensor] = {player: torch.ones((), requires_grad=True) for player in PLAYERS}
        s = _scores(*_tensors())
        self.rounds.append((s, generator_learns, seats))
        return s

    def _loss(self, player: Player, s: Scores) -> Tensor:
        number = next((i for i, (made, *_) in enumerate(self.rounds) if made is s), None)
        if number is None:
            _fail(f"a {player}'s loss is asked of scores that game.round() did not make")
        _require(number >= self.spent, "a round is used after an update: its scores are those of the old weights")
        learns = player == "discriminator" or self.rounds[number][1]
        _require(learns, "the generator's loss is asked of a round without generator_learns")
        return self.rounds[number][2][player] * 2

    def discriminator_loss(self, s: Scores) -> Tensor:
        return self._loss("discriminator", s)

    def generator_loss(self, s: Scores) -> Tensor:
        return self._loss("generator", s)

    def update_both(self, s: Scores, weight: float = 1.0) -> None:
        self.told.append(("both", weight))
        self.update(discriminator=self.discriminator_loss(s), generator=self.generator_loss(s) * weight)

    def unrolled_generator_loss(self, steps: int, rate: float | None = None) -> Tensor:
        self.told.append(("ahead", steps, rate))
        looked = [self.discriminator_loss(self.round()) for _ in range(steps)]
        looked += [seats["generator"] for *_, seats in self.rounds[-steps:]]  # whose gradient goes through the moves
        return self.generator_loss(self.round()) + torch.stack(looked).sum()

    def snapshot(self, *players: Player, memory: bool = False) -> parts.Snapshot:
        return parts.Snapshot({p: [w.detach().clone() for w in self.weights[p]] for p in players or PLAYERS}, {})

    def restore(self, snapshot: parts.Snapshot) -> None:
        self.told.append(("restore", _memory(snapshot.weights)))
        self.on_trial -= snapshot.weights.keys()
        self.spent = len(self.rounds)

    def update(
        self,
        *,
        discriminator: Tensor | None = None,
        generator: Tensor | None = None,
        start: parts.Snapshot | None = None,
        trial: bool = False,
    ) -> None:
        given: dict[Player, Tensor | None] = {"discriminator": discriminator, "generator": generator}
        losses = {player: loss for player, loss in given.items() if loss is not None}
        _require(losses, "game.update() is called without a loss")
        for player, loss in losses.items():
            seats = [seats[player] for _, _, seats in self.rounds]
            slopes = torch.autograd.grad(loss, seats, allow_unused=True, retain_graph=True) if seats else ()
            from_ = {i for i, g in enumerate(slopes) if g is not None}
            self.told.append((player, trial, [None if g is None else float(g) for g in slopes]))
            _require(from_, f"the {player} is moved along a loss that is not game.{player}_loss()")
            _require(min(from_) >= self.spent, f"the {player} is moved along a loss of before the last update")
            self.used |= from_
        if start is not None:
            self.restore(start)
        if trial:
            self.on_trial |= losses.keys()
        else:
            self.moves.append(tuple(losses))
        self.spent = len(self.rounds)


def _seated(schedule: parts.Schedule) -> parts.Schedule:
    """A schedule of a run."""
    schedule = words.at(schedule)
    object.__setattr__(schedule, "module", schedule.prepare(_PAIR, Spec(shape=(2,), latent_dim=2)))
    return schedule


def _stepped(schedule: parts.Schedule, number: int) -> _Table:
    """What it does in that step."""
    torch.manual_seed(number)
    table = _Table()
    table.step_number = number
    schedule.step(table)
    return table


@_asks("schedule")
def _plays_by_the_rules(schedule: parts.Schedule) -> None:
    """In each step both players move, along losses of fresh rounds; no round is made for nothing."""
    schedule = _seated(schedule)
    for number in range(3):
        table = _stepped(schedule, number)
        _require(not table.on_trial, f"a trial move of the {' and the '.join(sorted(table.on_trial))} is kept")
        for player in PLAYERS:
            _require(any(player in move for move in table.moves), f"the {player} does not move in a step")
        unused = len(table.rounds) - len(table.used)
        _require(not unused, f"{unused} of {len(table.rounds)} rounds of a step are made and not used")
        filled = any(seat.grad is not None for *_, seats in table.rounds for seat in seats.values())
        _require(not filled, "backward() is called: the game owns the gradients, use game.update()")


@_asks("schedule")
def _goes_on_where_it_stopped(schedule: parts.Schedule) -> None:
    """A schedule that was stopped and loaded goes on as if it had not been: it counts by ``game.step_number``.

    What else it remembers is in the module that prepare returns.
    """
    game, again = _seated(schedule), _seated(schedule)
    kept = []
    for number in range(7):
        _stepped(game, number)
        kept.append(_remembered(game))
    instead = "count by game.step_number, or keep it in a buffer of the module that prepare returns"
    _require_same(kept[1], kept[-1], instead)
    if isinstance(game.module, nn.Module):
        again.module.load_state_dict(game.module.state_dict())
    for number in range(7, 19):
        same = _stepped(game, number).told == _stepped(again, number).told
        _require(same, f"a schedule that was stopped and loaded does not go on as if it had not been: {instead}")


# -- data --------------------------------------------------------------------------------------------------------------


def _item(item: Any) -> tuple[Tensor, Any, Any]:
    """Sample, label and condition of an item of a dataset."""
    if isinstance(item, Mapping):
        _require("image" in item, f"an item is a mapping without 'image': it has {', '.join(map(str, item))}")
        return item["image"], item.get("label"), item.get("condition")
    if isinstance(item, (tuple, list)):
        _require(1 <= len(item) <= 2, f"an item is a sequence of {len(item)}: a sample, and a label where there is one")
        return item[0], item[1] if len(item) == 2 else None, None
    return item, None, None


@_asks("data")
def _items_are_samples(data: parts.Data) -> None:
    """First, middle and last item: a uint8 tensor or a floating one in [-1, 1], all of one shape, labels from 0."""
    dataset = data.dataset()
    size = len(dataset)  # type: ignore[arg-type]  # map-style datasets have a length, which torch does not declare
    _require(size >= 2, f"the dataset has {size} samples: a GAN needs two at least")
    shapes = set()
    for i in (0, size // 2, size - 1):
        sample, label, condition = _item(dataset[i])
        _require(isinstance(sample, Tensor), f"sample {i} is a {type(sample).__name__}, not a tensor")
        _require(sample.ndim >= 1, f"sample {i} has no dimensions")
        kind = sample.dtype
        _require(kind == torch.uint8 or kind.is_floating_point, f"sample {i} is {kind}, not uint8 or floating")
        if kind.is_floating_point:
            most = sample.abs().max()
            _require(most <= 1, f"sample {i} reaches {_number(most)}: samples lie in [-1, 1]")
        whole = label is None or (float(label) >= 0 and float(label) == int(label))
        _require(whole, f"label {i} is {label}: labels are whole numbers from 0")
        _require(condition is None or isinstance(condition, Tensor), f"condition {i} is a {type(condition).__name__}")
        beside = None if condition is None else tuple(condition.shape)
        shapes.add((tuple(sample.shape), kind, label is None, beside))
    _require(len(shapes) == 1, f"samples are of different kinds: {shapes}")
    modes = data.modes()
    if modes is not None:
        (shape, *_) = shapes.pop()
        _require(tuple(modes.shape[1:]) == shape, f"modes are {tuple(modes.shape)}: (K, *{shape}) is expected")


@_asks("data")
def _goes_to_workers(data: parts.Data) -> None:
    """The dataset is pickled to worker processes, and has the same items there."""
    dataset = data.dataset()
    there = pickle.loads(pickle.dumps(dataset))
    here, far = (_item(d[0])[0] for d in (dataset, there))
    _require(here.shape == far.shape and here.dtype == far.dtype, "a pickled dataset has other items")


# -- metrics -----------------------------------------------------------------------------------------------------------


class _Points(parts.Data):
    """Two Gaussians in the plane."""

    std: float = 0.05

    def dataset(self) -> Dataset[Any]:
        centres = self.modes()
        return TensorDataset(centres[torch.arange(4096) % 2] + self.std * torch.randn(4096, 2))

    def modes(self) -> Tensor:
        return torch.tensor([[0.5, 0.0], [-0.5, 0.0]])


class _Pictures(parts.Data):
    """Coloured discs."""

    def dataset(self) -> Dataset[Any]:
        y, x = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 32), indexing="ij")
        place, colour = torch.rand(2048, 2, 1, 1) - 0.5, torch.rand(2048, 3, 1, 1)
        inside = (x - place[:, :1]).square() + (y - place[:, 1:]).square() < 0.15
        return TensorDataset(2 * inside * colour - 1)


def _to_score(metric: parts.Metric) -> tuple[parts.Data, Tensor, Tensor, Tensor, Mapping[str, float]]:
    """Data that a metric takes, reals, good and bad fakes of it, and the figures of the good ones."""
    for data in (_Points(), _Pictures()):
        torch.manual_seed(0)
        pool = data.dataset()[torch.randperm(2048)]
        samples = pool[0][torch.arange(2 * metric.samples) % 2048]
        real, good = samples[::2].clone(), samples[1::2].clone()
        if metric.pairs:
            good = real.clone()  # each fake is to be its own real
        bad = torch.rand_like(good) * 2 - 1
        kept = real.clone(), good.clone()
        torch.manual_seed(0)
        try:
            told = metric.score(real, good, data)
        except (Incompatible, DataError):
            continue
        _require(real.equal(kept[0]) and good.equal(kept[1]), "score() changes the samples in place")
        return data, real, good, bad, told
    _fail("score() refuses both points in the plane with known modes and 32x32 pictures")


@_asks("metric")
def _tells_good_from_bad(metric: parts.Metric) -> None:
    """Figures are finite numbers by the names that the metric declares; what is said to be better one way is no worse
    for real samples than for noise; nothing is changed.

    Asked on two Gaussians in the plane, or on small pictures where the metric refuses those.
    """
    data, real, good, bad, told = _to_score(metric)
    torch.manual_seed(0)
    again, worse = metric.score(real, good, data), metric.score(real, bad, data)
    _require(told and all(isinstance(k, str) for k in told), "score() gives no mapping of named figures")
    _require(all(math.isfinite(v) for v in told.values()), f"a figure is not finite: {dict(told)}")
    _require(dict(told) == dict(again), "figures differ under one torch.manual_seed")
    _require(told.keys() == worse.keys(), "the names of the figures depend on the samples")
    _require(
        told.keys() == metric.figures.keys(),
        f"score() gives {', '.join(told)}, and the class declares figures = {dict(metric.figures)}",
    )
    for name, up in metric.figures.items():
        gap = told[name] - worse[name]
        better = up is None or (gap >= 0 if up else gap <= 0)
        _require(better, f"{name} is {told[name]:g} for real samples and {worse[name]:g} for noise: which way is up?")
    _require(any(told[k] != worse[k] for k in told), "no figure tells real samples from noise")


@_asks("metric")
def _scores_without_memory(metric: parts.Metric) -> None:
    """Samples have the same figures whatever was scored before: what a metric remembers would be lost on resume."""
    metric = words.at(metric)
    data, real, good, bad, told = _to_score(metric)
    before = _remembered(metric)
    metric.score(real, bad, data)
    _require_same(before, _remembered(metric), "a metric keeps nothing")
    torch.manual_seed(0)
    again = metric.score(real, good, data)
    _require(dict(again) == dict(told), f"figures were {dict(told)}, and are {dict(again)} once others were scored")


# -- optimizers --------------------------------------------------------------------------------------------------------


def _weights() -> list[nn.Parameter]:
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(4, 3, 3, 3)), nn.Parameter(torch.randn(5))]


def _descend(optimizer: torch.optim.Optimizer, weights: list[nn.Parameter], steps: int) -> None:
    """Steps down half of the squared distance to 1."""
    for _ in range(steps):
        for p in weights:
            p.grad = p.detach() - 1
        optimizer.step()


@_asks("optimizer")
def _moves_downhill(part: parts.Optimizer) -> None:
    """Twenty steps lower a quadratic, over exactly the parameters that it was given."""
    weights = _weights()
    optimizer = part.build(weights)
    found = type(optimizer).__name__
    _require(isinstance(optimizer, torch.optim.Optimizer), f"build() gives a {found}, no torch optimizer")
    held = [p for group in optimizer.param_groups for p in group["params"]]
    _require({*map(id, held)} == {*map(id, weights)}, "the optimizer is not over exactly the parameters given")
    before = sum(float((p.detach() - 1).square().sum()) for p in weights)
    _descend(optimizer, weights, 20)
    after = sum(float((p.detach() - 1).square().sum()) for p in weights)
    _require(after < before, f"twenty steps take a quadratic from {before:g} to {after:g}")


@_asks("optimizer")
def _follows_its_learning_rate(part: parts.Optimizer) -> None:
    """A field ``lr`` is every group's rate at first; the game sets the groups' to today's, and at 0 nothing moves."""
    if not hasattr(part, "lr"):
        return
    weights = _weights()
    optimizer = part.build(weights)
    _require(all(g["lr"] == part.lr for g in optimizer.param_groups), "the groups do not begin at the part's lr")
    _descend(optimizer, weights, 2)
    kept = [p.detach().clone() for p in weights]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    _descend(optimizer, weights, 2)
    _require(all(p.equal(k) for p, k in zip(weights, kept, strict=True)), "weights move at a learning rate of 0")


@_asks("optimizer")
def _goes_on_from_its_state(part: parts.Optimizer) -> None:
    """An optimizer that was given another's state_dict goes on as that one does."""
    ends = []
    for stop in (False, True):
        weights = _weights()
        optimizer = part.build(weights)
        _descend(optimizer, weights, 3)
        if stop:
            state = copy.deepcopy(optimizer.state_dict())
            optimizer = part.build(weights)
            optimizer.load_state_dict(state)
        _descend(optimizer, weights, 3)
        ends.append(weights)
    same = all(a.equal(b) for a, b in zip(*ends, strict=True))
    _require(same, "an optimizer that was stopped and loaded does not go on as if it had not been")
