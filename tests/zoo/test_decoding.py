"""From an image file to a sample: colours, orientation, size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from image_files import BLACK, RED, WHITE, greys, one, refused, save
from PIL import Image

from ganzoo_zoo.data.folder import Folder

pytestmark = pytest.mark.usefixtures("cache")

# images of every kind


def test_grey_and_colour(tmp_path):
    assert one(tmp_path, Image.new("L", (8, 8), 99))[:, 0, 0].tolist() == [99, 99, 99]
    assert one(tmp_path, Image.new("RGB", (8, 8), RED))[:, 0, 0].tolist() == [255, 0, 0]
    grey = one(tmp_path, Image.new("RGB", (8, 8), RED), channels=1)
    assert (grey.shape, grey.unique().tolist()) == ((1, 8, 8), [76])  # luma of red: 0.299


def test_palette_bilevel_and_cmyk(tmp_path):
    assert one(tmp_path, Image.new("RGB", (8, 8), RED).convert("P"))[:, 3, 3].tolist() == [255, 0, 0]
    assert one(tmp_path, Image.new("1", (8, 8), 1)).unique().tolist() == [255]
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert one(tmp_path, cmyk, "a.tif")[:, 3, 3].tolist() == [255, 0, 0]
    assert one(tmp_path, cmyk, "a.jpg")[0, 3, 3] > 250
    assert one(tmp_path, cmyk, "a.jpg", channels=1)[0, 3, 3] == pytest.approx(76, abs=3)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "L"])
def test_transparent_is_white(tmp_path, mode):
    if mode == "P":  # one transparent entry of the palette, as bytes
        image, how = Image.new("P", (8, 8), 0), {"transparency": bytes([0, 255])}
        image.putpalette([0, 0, 0, 255, 0, 0])
    elif mode in ("RGB", "L"):  # one colour that stands for transparent
        image, how = Image.new(mode, (8, 8), 0), {"transparency": (0, 0, 0) if mode == "RGB" else 0}
    else:
        image, how = Image.new(mode, (8, 8), 0), {}
    assert one(tmp_path, image, save_as=how).unique().tolist() == [255]


def test_half_transparent_is_half_white(tmp_path):
    assert one(tmp_path, Image.new("RGBA", (8, 8), (0, 0, 0, 128))).unique().tolist() == [127]


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_16_bit_grey_is_scaled_and_not_clipped(tmp_path, name):
    levels = np.repeat(np.array([0, 257, 32896, 65535, 300, 65278, 400, 128], np.uint16)[None], 8, axis=0)
    if name == "a.pgm":
        save(tmp_path / "x.png")
        (tmp_path / name).write_bytes(b"P5 8 8 65535\n" + levels.astype(">u2").tobytes())
        x = Folder(path=str(tmp_path), size=8).dataset().tensors[0][0]
    else:
        x = one(tmp_path, Image.fromarray(levels), name)
    assert x[0, 0].tolist() == [0, 1, 128, 255, 1, 254, 2, 0]
    assert torch.equal(x[0], x[2])


def test_big_endian_16_bit_and_floating_point(tmp_path):
    big = Image.frombytes("I;16B", (8, 8), np.full((8, 8), 32896, ">u2").tobytes())
    assert one(tmp_path, big, "a.tif").unique().tolist() == [128]
    assert one(tmp_path, Image.fromarray(np.full((8, 8), 0.5, np.float32)), "a.tif").unique().tolist() == [128]


@pytest.mark.parametrize("value", [np.float32(3), np.float32("nan"), np.int32(70000), np.int32(-1)])
def test_numbers_without_a_known_range_are_unreadable(tmp_path, value):
    greys(tmp_path, [f"{k}.png" for k in range(3)])
    save(tmp_path / "odd.tif", Image.fromarray(np.full((8, 8), value)))
    why = r"odd\.tif \((floating-point values|integers) from .* give range=LOW,HIGH of all images\)"
    if np.isnan(value):
        why = r"odd\.tif \(floating-point values with NaN: leave the file out, or mend it\)"
    refused(Folder(path=str(tmp_path), size=8), why)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_that_exif_asks_for(tmp_path, orientation):
    upright = Image.new("RGB", (16, 8), BLACK)
    upright.paste(WHITE, (0, 0, 4, 4))  # the upper left corner
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("a.png", "a.jpg"):
        x = one(tmp_path, stored, name, {"exif": exif, "quality": 95}, resize="stretch", size=16)[0].int()
        assert x[:8, :4].min() > 200
        assert x[8:].max() < 60
        assert x[:, 6:].max() < 60


def test_damaged_exif_does_not_lose_the_image(tmp_path):
    for exif in (b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"):
        assert one(tmp_path, Image.new("RGB", (8, 8), WHITE), "a.jpg", {"exif": exif}).min() > 250


def test_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, WHITE, BLACK)]
    for name in ("a.gif", "a.webp", "a.tif"):
        how = {"save_all": True, "append_images": frames[1:], **({"lossless": True} if name == "a.webp" else {})}
        assert one(tmp_path, frames[0], name, how)[:, 4, 4].tolist() == [255, 0, 0]


def test_a_wrong_ending_is_no_matter(tmp_path):
    save(tmp_path / "a.png", grey=200, format="JPEG")
    save(tmp_path / "b.jpg", grey=100, format="PNG")
    assert Folder(path=str(tmp_path), size=8).dataset().tensors[0].amax((1, 2, 3)).tolist() == [200, 100]


# any shape


def test_an_image_of_the_right_size_is_untouched(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    for how in ("crop", "pad", "stretch"):
        assert torch.equal(one(tmp_path, Image.fromarray(pixels), resize=how), torch.from_numpy(pixels).movedim(2, 0))


@pytest.mark.parametrize("size", [(24, 8), (8, 24)])
def test_crop_pad_and_stretch(tmp_path, size):
    image = Image.new("RGB", size, BLACK)
    image.paste(WHITE, tuple((s - 8) // 2 + o for o in (0, 8) for s in size))  # the square in the middle
    assert one(tmp_path, image, resize="crop").unique().tolist() == [255]
    stretched, padded = one(tmp_path, image, resize="stretch"), one(tmp_path, image, resize="pad")
    if size == (8, 24):
        stretched, padded = stretched.mT, padded.mT
    assert (stretched.min(), stretched.max(), stretched[0, :, 4].min()) == (0, 255, 255)
    assert padded[:, [0, 1, 6, 7]].max() == 0  # margins of an image that became 8x3
    assert padded[:, 3, 4].min() > 250


@pytest.mark.parametrize("how", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (7, 5)])
def test_odd_shapes(tmp_path, how, size):
    x = one(tmp_path, Image.new("RGB", size, WHITE), resize=how, size=12)
    assert (x.shape, x.max()) == ((3, 12, 12), 255)


def test_a_large_jpeg_is_shrunk_with_antialiasing(tmp_path):
    checkers = np.kron(np.indices((200, 200)).sum(0) % 2, np.ones((2, 2))).astype(np.uint8) * 255
    x = one(tmp_path, Image.fromarray(checkers), "a.jpg", size=8).int()
    assert (x - 127).abs().max() < 20
