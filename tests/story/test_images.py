"""Every kind of picture arrives as the same tensor, and every kind of trouble as one clear ImageError."""

import contextlib
import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageCms
from torch.testing import assert_close

from nstlab.base.files.decoding import ImageError
from nstlab.base.files.sample_images import samples
from nstlab.images import load_image, resize, save_image, to_pil

LEVEL = 1 / 255
FORMATS = ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"]


def photo(width=96, height=64) -> Image.Image:
    """A sample picture, small."""
    with Image.open(samples()[0].path) as picture:
        return picture.resize((width, height))


def as_bytes(picture: Image.Image, file_format: str, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, file_format, **options)
    return file.getvalue()


def plain(color, mode="RGB", size=(40, 32)) -> Image.Image:
    return Image.new(mode, size, color)


def assert_color(image, red, green, blue, tolerance=1.5 * LEVEL):
    """The image has one color, given in 0..255, all over."""
    expected = torch.tensor([red, green, blue]).view(1, 3, 1, 1) / 255
    assert_close(image, expected.expand_as(image), atol=tolerance, rtol=0)


def mean_error(image, picture):
    expected = torch.from_numpy(np.asarray(picture.convert("RGB")) / 255).permute(2, 0, 1)[None]
    assert image.shape == expected.shape
    return (image - expected).abs().mean().item()


# what comes in


@pytest.mark.parametrize("sample", samples(), ids=lambda sample: sample.name)
def test_every_sample_loads_by_its_name(sample):
    image = load_image(sample.name)
    assert image.shape[:2] == (1, 3) and image.dtype == torch.float32 and image.is_contiguous()
    assert 0 <= image.min() < image.max() <= 1


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_format_loads_from_path_string_and_bytes(tmp_path, file_format):
    path = tmp_path / f"picture.{file_format.lower()}"
    path.write_bytes(as_bytes(photo(), file_format))
    image = load_image(path)
    assert mean_error(image, photo()) < 0.03
    assert torch.equal(image, load_image(str(path)))
    for kind in bytes, bytearray, memoryview:
        assert torch.equal(image, load_image(kind(path.read_bytes())))


def test_a_home_folder_path_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    photo().save(tmp_path / "picture.png")
    assert load_image("~/picture.png").shape == (1, 3, 64, 96)


def test_a_pil_image_equals_its_file():
    assert torch.equal(load_image(photo()), load_image(as_bytes(photo(), "PNG")))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, ">u2", np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(32, 40), (32, 40, 3), (32, 40, 4)])
def test_arrays_of_every_dtype_and_shape_load(dtype, shape):
    dtype = np.dtype(dtype)
    white = np.iinfo(dtype).max if dtype.kind == "u" else 1
    array = np.full(shape, white, dtype)
    array[:, :20] = white // 5 if dtype.kind == "u" else 0.2
    if len(shape) == 3:
        array[..., 3:] = white
    image = load_image(array)
    assert image.shape == (1, 3, 32, 40) and image.dtype == torch.float32
    assert_color(image[..., :20], 51, 51, 51, tolerance=1e-3)
    assert_color(image[..., 20:], 255, 255, 255)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.bfloat16])
def test_tensors_load_with_and_without_a_batch(dtype):
    tensor = torch.zeros(3, 32, 40, dtype=dtype)
    tensor[0] = 255 if dtype == torch.uint8 else 1
    assert_color(load_image(tensor), 255, 0, 0)
    assert_color(load_image(tensor[None]), 255, 0, 0)


def test_a_loaded_tensor_shares_no_memory_with_its_source():
    source = torch.rand(1, 3, 32, 32, requires_grad=True)
    image = load_image(source)
    image.zero_()
    assert source.max() > 0 and not image.requires_grad
    array = np.ones((32, 32, 3), np.float32)
    load_image(array).zero_()
    assert array.min() == 1


def test_alpha_of_an_array_is_laid_over_white():
    array = np.zeros((32, 32, 4), np.float32)
    array[..., 3] = 0.25
    assert_close(load_image(array), torch.full((1, 3, 32, 32), 0.75))


# odd files arrive as RGB


def test_gray_and_bilevel_arrive_as_rgb():
    assert_color(load_image(as_bytes(plain(90, "L"), "PNG")), 90, 90, 90)
    assert_color(load_image(as_bytes(plain(1, "1"), "PNG")), 255, 255, 255)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bit_gray_is_scaled_not_clipped(file_format):
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64)
    image = load_image(as_bytes(Image.fromarray(ramp.astype(np.uint16)), file_format))
    expected = torch.from_numpy(ramp / 65535).float().expand(1, 3, 64, 64)
    assert_close(image, expected, atol=0.51 * LEVEL, rtol=0)


@pytest.mark.parametrize(("mode", "level"), [("I", 13107), ("I;16B", 13107), ("F", 0.2)])
def test_other_gray_modes_are_scaled(mode, level):
    dtype = {"I": np.int32, "I;16B": ">u2", "F": np.float32}[mode]
    picture = Image.frombytes(mode, (40, 32), np.full((32, 40), level, dtype).tobytes())
    assert_color(load_image(picture), 51, 51, 51)


def test_16_bit_color_is_scaled(tmp_path):
    rows = b"".join(b"\0" + struct.pack(">HHH", 65535, 13107, 0) * 40 for _ in range(32))
    assert_color(load_image(png(40, 32, rows, bits=16)), 255, 51, 0)


def test_cmyk_jpeg_arrives_as_rgb():
    image = load_image(as_bytes(plain((0, 255, 255, 0), "CMYK"), "JPEG", quality=95))
    assert_color(image, 255, 0, 0, tolerance=5 * LEVEL)


def test_lab_arrives_as_rgb():
    white, red = plain((255, 128, 128), "LAB"), plain((136, 208, 195), "LAB")
    assert_color(load_image(as_bytes(white, "TIFF")), 255, 255, 255, tolerance=3 * LEVEL)
    assert_color(load_image(as_bytes(red, "TIFF")), 255, 0, 0, tolerance=15 * LEVEL)


def test_a_palette_arrives_as_its_colors():
    picture = plain((200, 30, 10)).quantize(4)
    assert_color(load_image(as_bytes(picture, "PNG")), 200, 30, 10)


def test_a_transparent_palette_is_laid_over_white():
    picture = plain(0, "P")
    picture.putpalette([0, 0, 255, 255, 0, 0])
    picture.paste(1, (20, 0, 40, 32))
    one_color = load_image(as_bytes(picture, "PNG", transparency=0))
    assert_color(one_color[..., :20], 255, 255, 255)
    assert_color(one_color[..., 20:], 255, 0, 0)
    each_its_own = load_image(as_bytes(picture, "PNG", transparency=bytes([128, 255])))
    assert_color(each_its_own[..., :20], 127, 127, 255)
    assert_color(each_its_own[..., 20:], 255, 0, 0)


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("LA", (100, 0), (255, 255, 255)),
        ("LA", (100, 255), (100, 100, 100)),
        ("RGBA", (100, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (255, 0, 0, 51), (255, 204, 204)),
    ],
)
@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_alpha_is_laid_over_white(mode, color, expected, file_format):
    assert_color(load_image(as_bytes(plain(color, mode), file_format)), *expected)


@pytest.mark.parametrize(("mode", "color"), [("L", 77), ("RGB", (77, 77, 77))])
def test_a_transparent_color_is_laid_over_white(mode, color):
    assert_color(load_image(as_bytes(plain(color, mode), "PNG", transparency=color)), 255, 255, 255)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation, file_format):
    upright = plain("white", size=(48, 32))
    upright.paste("black", (0, 0, 16, 8))  # a mark in the upper left corner
    array = np.asarray(upright)
    # the tag tells which sides of the upright picture the first stored row and column are; from 5 on it lies
    stored = [array, array[:, ::-1], array[::-1, ::-1], array[::-1]][(orientation - 1) % 4]
    stored = Image.fromarray(np.ascontiguousarray(stored if orientation < 5 else stored.swapaxes(0, 1)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = load_image(as_bytes(stored, file_format, exif=exif))
    assert mean_error(image, upright) < LEVEL


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0\xff\xff\xff\xffrubbish", b"Exif\0\0not a TIFF header"])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_damaged_exif_does_not_hide_the_picture(exif, file_format):
    assert load_image(as_bytes(photo(), file_format, exif=exif)).shape == (1, 3, 64, 96)


def test_the_orientation_counts_though_other_exif_data_are_damaged():
    exif = Image.Exif()
    exif[0x0112], exif[0x011A] = 6, 72.0
    resolution_as_text = exif.tobytes().replace(b"\x01\x1a\0\x05", b"\x01\x1a\0\x02")
    assert load_image(as_bytes(photo(), "PNG", exif=resolution_as_text)).shape == (1, 3, 96, 64)


def test_the_first_frame_of_an_animation_is_taken():
    frames = [plain("red"), plain("blue")]
    for file_format in "GIF", "WEBP", "PNG":
        data = as_bytes(frames[0], file_format, save_all=True, append_images=frames[1:])
        assert_color(load_image(data), 255, 0, 0, tolerance=4 * LEVEL)


# color profiles


def s15(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def icc_profile(space: bytes, **tags: bytes) -> bytes:
    """A small ICC display profile, version 2, with these tags."""
    header_size, entry_size = 128, 12
    start = header_size + 4 + entry_size * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name.encode(), start + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    white = s15(0.9642) + s15(1) + s15(0.8249)
    header = struct.pack(">I4sI", start + len(body), b"none", 0x02400000) + b"mntr" + space + b"XYZ "
    header += b"\0" * 12 + b"acsp" + b"\0" * 28 + white
    return header.ljust(header_size, b"\0") + table + body


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(s15, values))


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


# sRGB's own primaries, with red and green exchanged, and a linear tone curve
SWAPPED = icc_profile(
    b"RGB ",
    wtpt=xyz(0.9642, 1, 0.8249),
    rXYZ=xyz(0.3851, 0.7169, 0.0971),
    gXYZ=xyz(0.4360, 0.2225, 0.0139),
    bXYZ=xyz(0.1431, 0.0606, 0.7141),
    rTRC=gamma(1),
    gTRC=gamma(1),
    bTRC=gamma(1),
)
# ProPhoto RGB: primaries so wide that (255, 128, 128) is a plain red
WIDE = icc_profile(
    b"RGB ",
    wtpt=xyz(0.9642, 1, 0.8249),
    rXYZ=xyz(0.7977, 0.2880, 0),
    gXYZ=xyz(0.1352, 0.7119, 0),
    bXYZ=xyz(0.0313, 0.0001, 0.8249),
    rTRC=gamma(1.8),
    gTRC=gamma(1.8),
    bTRC=gamma(1.8),
)
LINEAR_GRAY = icc_profile(b"GRAY", wtpt=xyz(0.9642, 1, 0.8249), kTRC=gamma(1))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_an_srgb_profile_changes_nothing():
    tagged = load_image(as_bytes(photo(), "PNG", icc_profile=SRGB))
    assert_close(tagged, load_image(photo()), atol=1.01 * LEVEL, rtol=0)


def test_colors_are_converted_as_their_profile_says():
    image = load_image(as_bytes(plain((55, 0, 0)), "PNG", icc_profile=SWAPPED))
    assert_color(image, 0, 128, 0, tolerance=3 * LEVEL)  # linear 55 / 255 is 128 in sRGB


def test_a_wide_gamut_picture_gains_the_saturation_that_it_has():
    colors = [(180, 120, 120), (120, 160, 120), (120, 120, 170)]
    for channel, color in enumerate(colors):
        means = load_image(as_bytes(plain(color), "TIFF", icc_profile=WIDE)).mean((0, 2, 3)) * 255
        spread = means.max() - means.min()
        assert means.argmax() == channel and spread > max(color) - min(color) + 10


def test_a_gray_profile_is_applied_to_gray_with_and_without_alpha():
    expected = 128, 128, 128  # linear 55 / 255
    for mode, color in ("L", 55), ("LA", (55, 255)):
        image = load_image(as_bytes(plain(color, mode), "PNG", icc_profile=LINEAR_GRAY))
        assert_color(image, *expected, tolerance=3 * LEVEL)


def test_an_rgb_profile_on_a_gray_picture_is_applied():
    image = load_image(as_bytes(plain(55, "L"), "PNG", icc_profile=SWAPPED))
    assert_color(image, 128, 128, 128, tolerance=3 * LEVEL)


def test_alpha_and_profile_go_together():
    image = load_image(as_bytes(plain((55, 0, 0, 0), "RGBA"), "PNG", icc_profile=SWAPPED))
    assert_color(image, 255, 255, 255)


@pytest.mark.parametrize("profile", [b"no profile", LINEAR_GRAY, SRGB[:16] + b"\xff" + SRGB[17:]])
def test_a_profile_that_does_not_fit_is_left_out_with_a_warning(profile):
    with pytest.warns(UserWarning, match="color profile is not used"):
        image = load_image(as_bytes(plain((10, 200, 30)), "PNG", icc_profile=profile))
    assert_color(image, 10, 200, 30)


# sizes


def test_size_bounds_the_longer_side_and_keeps_the_aspect_ratio():
    assert load_image(photo(96, 64), size=60).shape == (1, 3, 40, 60)
    assert load_image(photo(64, 96), size=60).shape == (1, 3, 60, 40)


def test_size_never_enlarges():
    assert load_image(photo(96, 64), size=1000).shape == (1, 3, 64, 96)
    assert torch.equal(load_image(photo(), size=96), load_image(photo()))


def test_shrinking_is_antialiased():
    stripes = np.zeros((128, 128), np.uint8)
    stripes[:, ::2] = 255
    assert_color(load_image(stripes, size=32)[..., 2:-2], 127.5, 127.5, 127.5)


def test_resize_goes_up_down_and_to_an_exact_shape():
    image = torch.rand(2, 3, 40, 60)
    assert resize(image, 30).shape == (2, 3, 20, 30)
    assert resize(image, 120).shape == (2, 3, 80, 120)
    assert resize(image, (33, 77)).shape == resize(image, torch.Size([33, 77])).shape == (2, 3, 33, 77)
    assert_close(resize(image, 60), image)


def test_resize_stays_in_range_and_lets_gradients_through():
    image = torch.rand(1, 3, 8, 8).round().requires_grad_()
    enlarged = resize(image, 64)
    assert enlarged.min() >= 0 and enlarged.max() <= 1
    enlarged.sum().backward()
    assert image.grad is not None and image.grad.abs().sum() > 0


@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 200))
@settings(max_examples=50, deadline=None)
def test_resize_makes_the_longer_side_exact(height, width, size):
    assert max(resize(torch.rand(1, 1, height, width), size).shape) == size


# what goes out


@given(
    arrays(
        np.float32,
        st.tuples(st.just(3), st.integers(32, 40), st.integers(32, 40)),
        elements=st.floats(0, 1, width=32),
    )
)
@settings(max_examples=25, deadline=None)
def test_png_round_trip_is_within_half_a_level(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("round_trip") / "image.png"
    save_image(torch.from_numpy(array), path)
    assert_close(load_image(path)[0], torch.from_numpy(array), atol=0.5 * LEVEL + 1e-6, rtol=0)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff", ".PNG"])
def test_lossless_formats_keep_every_value(tmp_path, suffix):
    image = load_image(photo())
    save_image(image, tmp_path / f"image{suffix}")
    assert torch.equal(load_image(tmp_path / f"image{suffix}"), image)


@pytest.mark.parametrize(("suffix", "file_format"), [(".jpg", "JPEG"), (".jpeg", "JPEG"), (".webp", "WEBP")])
def test_lossy_formats_are_close(tmp_path, suffix, file_format):
    save_image(load_image(photo()), tmp_path / f"image{suffix}")
    assert mean_error(load_image(tmp_path / f"image{suffix}"), photo()) < 0.02
    with Image.open(tmp_path / f"image{suffix}") as picture:
        assert picture.format == file_format


def test_to_pil_rounds_and_takes_any_float():
    image = torch.full((1, 3, 2, 2), 100.4 / 255)
    for dtype in torch.float32, torch.float64, torch.float16:
        assert to_pil(image.to(dtype)).getpixel((1, 1)) == (100, 100, 100)


def test_to_pil_takes_images_that_need_gradients():
    assert to_pil(torch.zeros(3, 4, 5, requires_grad=True)).size == (5, 4)


def test_values_a_hair_outside_are_clamped():
    image = torch.tensor([-0.001, 1.001]).repeat(1, 3, 32, 16)
    assert np.unique(np.asarray(to_pil(image))).tolist() == [0, 255]
    assert load_image(image).min() == 0 and load_image(image).max() == 1


def test_saving_finds_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    save_image(torch.rand(3, 32, 32), "~/image.png")
    assert (tmp_path / "image.png").exists()


def test_missing_folders_are_made(tmp_path):
    save_image(torch.rand(3, 32, 32), tmp_path / "out" / "today" / "image.png")
    assert load_image(tmp_path / "out" / "today" / "image.png").shape == (1, 3, 32, 32)


def test_a_saved_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "usual").touch()
    save_image(torch.rand(3, 32, 32), tmp_path / "image.png")
    assert (tmp_path / "image.png").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, failure):
    save_image(torch.ones(3, 32, 32), tmp_path / "image.png")

    def break_off(self, path, *args, **options):
        path.write_bytes(b"half a picture")
        raise failure

    monkeypatch.setattr(Image.Image, "save", break_off)
    with pytest.raises((ImageError, KeyboardInterrupt)) as caught:
        save_image(torch.zeros(3, 32, 32), tmp_path / "image.png")
    assert isinstance(caught.value, KeyboardInterrupt) or "No space left on device" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["image.png"]
    assert_color(load_image(tmp_path / "image.png"), 255, 255, 255)


# trouble


def png(width: int, height: int, rows: bytes, bits: int = 8) -> bytes:
    """A PNG file of RGB rows, whatever its header claims."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def error_of(action, *arguments, **options) -> str:
    """The message of the ImageError that this raises: one line, from the call to the end of a sentence."""
    with pytest.raises(ImageError) as caught:
        action(*arguments, **options)
    message = str(caught.value)
    assert message.startswith(f"{action.__name__}(") and message.endswith((".", "?")) and "\n" not in message
    return message


def test_an_image_error_is_a_value_error():
    assert issubclass(ImageError, ValueError)


def test_a_missing_file_is_named_with_its_folder(tmp_path):
    message = error_of(load_image, tmp_path / "holiday.jpg")
    assert "holiday.jpg" in message and f"no such file in {str(tmp_path)!r}" in message


@pytest.mark.parametrize("name", ["stary_night", "starry_nigth.jpg", "Starry_night"])
def test_an_unknown_sample_brings_the_nearest_to_mind(name):
    assert "Did you mean the sample 'starry_night'?" in error_of(load_image, name)


def test_an_unknown_name_points_to_the_samples():
    assert "samples()" in error_of(load_image, "xyzzy")


def test_a_web_address_is_no_file():
    assert "Download the picture" in error_of(load_image, "https://example.org/picture.jpg")


def test_a_folder_is_no_picture(tmp_path):
    assert "cannot be opened (Is a directory)" in error_of(load_image, tmp_path)


def test_an_unreadable_file_says_so(monkeypatch):
    def refuse(self, mode):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert "cannot be opened (Permission denied)" in error_of(load_image, "starry_night")


def test_an_impossible_path_says_so():
    assert "cannot be opened" in error_of(load_image, "null\0byte.jpg")


def test_an_empty_file_says_so(tmp_path):
    (tmp_path / "empty.jpg").touch()
    assert "the file is empty" in error_of(load_image, tmp_path / "empty.jpg")
    assert "the file is empty" in error_of(load_image, b"")


def test_what_is_no_image_is_told_what_would_be(tmp_path):
    (tmp_path / "notes.jpg").write_text("not a picture, whatever its name says")
    message = error_of(load_image, tmp_path / "notes.jpg")
    assert "notes.jpg" in message and "JPEG, PNG, WebP, BMP, TIFF, GIF" in message


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_truncated_file_says_so(tmp_path, file_format):
    data = as_bytes(photo(), file_format)
    path = tmp_path / f"holiday.{file_format.lower()}"
    path.write_bytes(data[: len(data) // 2])
    message = error_of(load_image, path)
    if file_format == "WEBP":  # its decoder does not tell why it fails
        assert "the file is damaged or cut off" in message
    else:
        assert f"the file is cut off: it ends after {len(data) // 2:,} bytes in the middle of the picture" in message


def test_a_truncated_pil_image_says_so():
    data = as_bytes(photo(), "JPEG")
    with Image.open(io.BytesIO(data[: len(data) // 2])) as picture:
        assert "the file is cut off" in error_of(load_image, picture)


@given(st.sampled_from(FORMATS), st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_bytes_give_a_picture_or_an_image_error(file_format, data):
    damaged = bytearray(as_bytes(photo(48, 40), file_format))
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(ImageError):
            load_image(damaged)


@pytest.mark.parametrize("side", [9_000, 9_500, 20_000, 2**31 - 1])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_refused_by_its_header(side):
    message = error_of(load_image, png(side, side, b"\0" * 100))
    assert "more than 80,000,000 pixels" in message


def test_a_picture_below_the_limit_is_not_taken_for_a_bomb():
    assert "cut off" in error_of(load_image, png(8_900, 8_900, b"\0" * 100))


def test_a_bomb_is_refused_as_an_error_where_warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "80,000,000" in error_of(load_image, png(9_500, 9_500, b"\0" * 100))


def test_a_too_small_picture_says_its_size():
    message = error_of(load_image, photo(100, 31))
    assert "got 100 x 31 pixels" in message and "at least 32" in message
    assert load_image(photo(100, 32)).shape == (1, 3, 32, 100)


def test_a_size_that_makes_it_too_small_is_told_a_better_one():
    message = error_of(load_image, photo(200, 64), size=90)
    assert "Take size=100 or more" in message
    assert load_image(photo(200, 64), size=100).shape == (1, 3, 32, 100)


@pytest.mark.parametrize("size", [0, -5, 31, 64.0, "64", True])
def test_an_impossible_size_says_so(size):
    assert f"size={size!r}" in error_of(load_image, "starry_night", size=size)


@pytest.mark.parametrize("shape", [(32,), (32, 40, 2), (3, 32, 40), (1, 3, 32, 40), (0, 40, 3), ()])
def test_an_array_of_another_shape_says_so(shape):
    assert "(H, W, 3)" in error_of(load_image, np.zeros(shape, np.uint8))


@pytest.mark.parametrize("dtype", [bool, np.int64, np.uint32, complex, object])
def test_an_array_of_another_dtype_says_so(dtype):
    assert f"{np.dtype(dtype)} is not supported" in error_of(load_image, np.zeros((32, 32), dtype))


@pytest.mark.parametrize("shape", [(32, 40), (32, 40, 3), (2, 3, 32, 40), (1, 4, 32, 40), (3, 0, 40)])
def test_a_tensor_of_another_shape_says_so(shape):
    for action in load_image, to_pil:
        assert f"got shape {shape}" in error_of(action, torch.zeros(shape))
    assert f"got shape {shape}" in error_of(save_image, torch.zeros(shape), "image.png")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_no_numbers_say_so(tmp_path, value):
    image = torch.zeros(1, 3, 32, 32)
    image[0, 1, 2, 3] = value
    for action in load_image, to_pil:
        assert "NaN or infinity found" in error_of(action, image)
    assert "NaN or infinity found" in error_of(save_image, image, tmp_path / "image.png")
    assert "NaN or infinity found" in error_of(load_image, np.full((32, 32), value))
    assert not list(tmp_path.iterdir())


def test_values_out_of_range_say_so():
    image = torch.tensor([0.0, 255.0]).repeat(1, 3, 32, 16)
    for action in load_image, to_pil:
        message = error_of(action, image)
        assert "got values from 0 to 255" in message and "divide 0..255 by 255" in message


@pytest.mark.parametrize("level", [-0.5, 2, float("nan")])
def test_gray_levels_out_of_range_say_so(level):
    assert "gray levels" in error_of(load_image, as_bytes(plain(level, "F"), "TIFF"))


@pytest.mark.parametrize("source", [None, 7, [1, 2], object()])
def test_what_cannot_hold_a_picture_says_what_can(source):
    assert "a path" in error_of(load_image, source)


def test_resize_refuses_other_tensors_and_sizes():
    assert "(B, C, H, W)" in error_of(resize, torch.zeros(3, 32, 32), 16)
    assert "floats" in error_of(resize, torch.zeros(1, 3, 32, 32, dtype=torch.uint8), 16)
    for size in 0, 2.5, (16,), (16, 0), (16, 16, 16):
        assert "whole pixels" in error_of(resize, torch.zeros(1, 3, 32, 32), size)


def test_to_pil_refuses_what_is_no_float_tensor():
    assert "got ndarray" in error_of(to_pil, np.zeros((32, 32, 3)))
    assert "got torch.uint8" in error_of(to_pil, torch.zeros(3, 32, 32, dtype=torch.uint8))


@pytest.mark.parametrize("name", ["image.gif", "image", "image.png.txt"])
def test_an_unknown_suffix_lists_the_known_ones(tmp_path, name):
    message = error_of(save_image, torch.zeros(3, 32, 32), tmp_path / name)
    assert ".png, .jpg, .jpeg, .webp, .bmp, .tif, .tiff" in message


@pytest.mark.posix
def test_a_path_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    for path in tmp_path / "file" / "image.png", tmp_path / "folder.png", "~nobody_at_all/image.png":
        assert "cannot be written" in error_of(save_image, torch.zeros(3, 32, 32), path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"]


def test_an_image_too_large_for_its_format_says_so(tmp_path):
    message = error_of(save_image, torch.zeros(3, 1, 16_384), tmp_path / "image.webp")
    assert "cannot be written" in message and not list(tmp_path.iterdir())


@pytest.mark.posix
def test_what_a_link_points_to_is_replaced_and_keeps_its_permissions(tmp_path):
    picture, link = tmp_path / "picture.png", tmp_path / "link.png"
    save_image(torch.zeros(1, 3, 40, 40), picture)
    picture.chmod(0o600)
    link.symlink_to(picture)
    save_image(torch.ones(1, 3, 40, 40), link)
    assert link.is_symlink() and load_image(picture).min() == 1
    assert picture.stat().st_mode & 0o777 == 0o600
