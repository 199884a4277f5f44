"""Images with more than 8 bits a channel: the type does not tell which numbers are black and white."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image


class BeyondRange(ValueError):
    """The numbers of an image lie beyond its black and its white, or are NaN. The message is what was found."""


def is_deep(image: Image.Image) -> bool:
    """Whether an image has more than 8 bits a channel: integers, or floating-point numbers.

    Args:
        image: an image of any mode.
    """
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def usual_range(image: Image.Image) -> tuple[float, float]:
    """Black and white of a deep image, where nobody gives the two: 0 to 1, and of integers 0 to 65535.

    Args:
        image: a deep image.
    """
    return (0.0, 1.0) if image.mode == "F" else (0.0, 65535.0)


def unit_values(image: Image.Image, data_range: tuple[float, float] | None = None) -> NDArray[np.float32]:
    """The values of a deep image as floating-point numbers from 0 (black) to 1 (white).

    Pillow's ``convert`` would clip them at 255.

    Args:
        image: a deep image.
        data_range: the numbers that are black and white. None takes the usual range.

    Returns:
        (H, W).

    Raises:
        BeyondRange: a value is NaN, or beyond the range.

    Example:
        >>> import numpy as np
        >>> from PIL import Image
        >>> unit_values(Image.fromarray(np.array([[0, 4095]], np.uint16)), (0, 4095)).tolist()
        [[0.0, 1.0]]
    """
    import numpy as np

    values = np.asarray(image)
    kind = "floating-point values" if image.mode == "F" else "integers"
    least, most = float(values.min()), float(values.max())
    if np.isnan(least):
        raise BeyondRange(f"{kind} with NaN")
    low, high = data_range or usual_range(image)
    if least < low or most > high:
        raise BeyondRange(f"{kind} from {least:g} to {most:g}, beyond {low:g} to {high:g}")
    # float64, since float32 does not hold every integer of 32 bits.
    return ((values.astype(np.float64) - low) / (high - low)).astype(np.float32)
