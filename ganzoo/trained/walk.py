"""Walk through the latent space of a run: samples between seeds, between classes or between given latents."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from ganzoo import errors
from ganzoo.disk import pictures
from ganzoo.training.interpolation import slerp
from ganzoo.training.run import Run

if TYPE_CHECKING:
    from PIL.Image import Image


def positions(points: int, frames: int, loop: bool = False) -> list[tuple[int, int, float]]:
    """Spread frames evenly over a path through points.

    Args:
        points: the number of points, at least 1.
        frames: the number of frames from a point to the next point.
        loop: return to the first point at the end. The first point is then not repeated as the last frame.

    Returns:
        For each frame the number of the point before, of the point after, and the position from 0 to 1 between the two.

    Example:
        >>> positions(2, 2)
        [(0, 1, 0.0), (0, 1, 0.5), (1, 1, 0.0)]
    """
    legs = [(i, i + 1) for i in range(points - 1)] + ([(points - 1, 0)] if loop and points > 1 else [])
    path = [(a, b, k / frames) for a, b in legs for k in range(frames)]
    return path if loop and points > 1 else [*path, (points - 1, points - 1, 0.0)]


def walk(
    run: Run,
    points: Sequence[Tensor],
    *,
    frames: int = 8,
    classes: Sequence[int | str] | None = None,
    loop: bool = False,
    space: str = "auto",
    truncation: float | None = None,
    source: str = "auto",
    inputs: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Generate the samples on a path through latents, or through classes.

    Args:
        run: a trained run.
        points: the points of the path, N rows each, N the number of walks that go on side by side. One point stays
            where it is, for a walk through classes.
        frames: the samples from a point to the next point.
        classes: the number or the name of the class at each point, for networks that are given classes. One class
            holds for all points. None takes class 0. Between two classes, what the generator looks up for the classes
            is mixed.
        loop: return to the first point.
        space: ``z`` walks on great circles between latents, (N, latent_dim). ``auto`` maps latents to the style space
            of the architecture first, and walks on straight lines there, where the style space is not z. ``styles``
            says that the points are points of the style space already, as ``run.styles`` gives.
        truncation: as for ``run.sample``.
        source: the generator's weights: ``ema``, ``generator`` or ``auto``.
        inputs: further tensors for the generator by name, (N, *shape) each.

    Returns:
        (frames, N, *shape) in [-1, 1] on the CPU.

    Raises:
        SettingsError: an argument is outside the range above.
    """
    if space not in ("auto", "z", "styles"):
        raise errors.SettingsError(f"space {space!r} is not one of auto, z, styles")
    if frames < 1 or not points:
        raise errors.SettingsError(
            f"a walk wants a point and frames >= 1, not {len(points)} points and {frames} frames"
        )
    given = classes or ([0] if run.spec.classes else [])
    numbers = run.class_numbers(len(given), given) if given else None
    named: list[int] = [] if numbers is None else numbers.tolist()
    count = max(len(points), len(named))
    if {len(points), len(named) or 1} - {1, count}:
        raise errors.SettingsError(f"{len(points)} points and {len(named)} classes do not go together: give as many")
    places = [points[i % len(points)].to(run.device, run.dtype) for i in range(count)]
    kinds = [named[i % len(named)] for i in range(count)] if named else []
    empty = run.latents(len(places[0]), inputs=inputs)
    flat = run.parts.architecture.style_space != "z"
    made = []
    for first, second, t in positions(count, frames, loop):
        ends = []
        for each in (first, second):
            labels = torch.full((empty.size,), kinds[each], device=run.device) if kinds else None
            ends.append(empty.replace(labels=labels))
        batch = ends[0]
        if kinds and kinds[first] != kinds[second]:
            a, b = ends[0].labels, ends[1].labels
            assert a is not None
            assert b is not None
            batch = batch.replace(labels=MixedLabels.of(a, b, t))
        if space == "z" or (space == "auto" and not flat):
            batch = batch.replace(latent=slerp(places[first], places[second], t))
            made.append(run.generated(batch, source, truncation=truncation))
            continue
        styles = [places[first], places[second]]
        if space == "auto":
            styles = [
                run.styles(end.replace(latent=place), source, truncation=truncation)
                for end, place in zip(ends, styles, strict=True)
            ]
        mixed = torch.lerp(styles[0], styles[1], t) if flat else slerp(styles[0], styles[1], t)
        made.append(run.synthesized(mixed, batch, source))
    return torch.stack(made)


class MixedLabels(Tensor):
    """Class numbers that lie between two classes.

    The numbers are a pair of tensors of whole numbers. Every operation is made on both. As soon as the result has
    floating-point numbers, such as the vectors that an embedding looks up or a one-hot code, the result is mixed:
    (1 - t) first + t second. The mixture therefore needs no support by the generator.
    """

    second: Tensor
    share: float

    @classmethod
    def of(cls, first: Tensor, second: Tensor, t: float) -> MixedLabels:
        """Pair two tensors.

        Args:
            first: (N,), the class numbers at t = 0.
            second: (N,), the class numbers at t = 1.
            t: the position, from 0 to 1.

        Returns:
            The pair.

        Example:
            >>> labels = MixedLabels.of(torch.tensor([0]), torch.tensor([2]), 0.25)
            >>> torch.nn.functional.one_hot(labels, 3).float()
            tensor([[0.7500, 0.0000, 0.2500]])
        """
        pair = first.as_subclass(cls)
        pair.second, pair.share = second, t
        return pair

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., object],
        types: object,
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Make an operation on both tensors, and mix the results where the results are floating-point numbers."""
        named = dict(kwargs or {})
        pairs = [x for x in tree_leaves((args, named)) if isinstance(x, MixedLabels)]

        def taken(which: int) -> object:
            def half(x: object) -> object:
                return (x.as_subclass(Tensor), x.second)[which] if isinstance(x, MixedLabels) else x

            return func(*tree_map(half, args), **tree_map(half, named))

        with torch._C.DisableTorchFunctionSubclass():
            first, t = taken(0), pairs[0].share
            if not isinstance(first, Tensor):
                return first
            second = taken(1)
            assert isinstance(second, Tensor)  # as the first one is
            return torch.lerp(first, second, t) if first.is_floating_point() else cls.of(first, second, t)


def seeded_points(run: Run, seeds: Sequence[int], count: int = 1) -> list[Tensor]:
    """Draw the points of a walk: the latents that ``run.sample`` draws for the seeds.

    Args:
        run: a trained run.
        seeds: a seed for each point.
        count: the number of walks side by side.

    Returns:
        (count, latent_dim) for each seed.
    """
    unread = {
        name: torch.zeros((count, *each.shape), dtype=None if each.dtype == "float" else getattr(torch, each.dtype))
        for name, each in run.spec.inputs.items()
    }
    return [run.latents(count, seed=seed, inputs=unread).latent for seed in seeds]


def strip(made: Tensor) -> Tensor:
    """Draw a walk as a strip: a row for each walk, from left to right.

    Args:
        made: (frames, N, *shape), as ``walk`` gives.

    Returns:
        The picture, (3, H, W), uint8. Points in the plane are drawn in one picture, as a path.
    """
    return pictures.picture(made.transpose(0, 1).flatten(0, 1), len(made))


def film(made: Tensor) -> list[Image]:
    """Draw a walk as the pictures of a film.

    Args:
        made: (frames, N, *shape), as ``walk`` gives.

    Returns:
        A picture for each frame, with all walks as a grid.
    """
    from PIL import Image

    drawn = [
        pictures.single(each[0]) if len(each) == 1 and each.dim() == 4 else pictures.picture(each) for each in made
    ]
    least = min(drawn[0].shape[1:])
    times = max(1, 128 // least)  # small images are enlarged, each pixel as a square
    pixels = [each.repeat_interleave(times, 1).repeat_interleave(times, 2).permute(1, 2, 0).numpy() for each in drawn]
    return [Image.fromarray(each) for each in pixels]


def save_film(frames: Sequence[Image], out: Path, fps: float) -> None:
    """Write a film as GIF, or as MP4 by the program ffmpeg.

    Args:
        frames: the pictures, all of one size.
        out: the file, ending in ``.gif`` or ``.mp4``.
        fps: pictures in a second.

    Raises:
        RunError: the file cannot be written, or ffmpeg is missing or fails.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix.lower() == ".gif":
            head, *rest = frames
            head.save(out, save_all=True, append_images=rest, duration=max(20, round(1000 / fps)), loop=0)
            return
    except OSError as error:
        raise errors.RunError(f"{out} cannot be written ({error.strerror or error}): give another --out") from error
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise errors.RunError(f"{out}: an MP4 needs the program ffmpeg, which is not installed: give --out with .gif")
    width, height = frames[0].size
    command = [ffmpeg, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
    command += ["-r", f"{fps:g}", "-i", "-", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", str(out)]
    done = subprocess.run(command, input=b"".join(each.tobytes() for each in frames), capture_output=True, check=False)
    if done.returncode:
        reason = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        raise errors.RunError(f"{out} cannot be written: ffmpeg says: {reason}")
