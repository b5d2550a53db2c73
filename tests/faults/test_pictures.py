"""No picture does harm: whatever comes, an image in [0, 1] or one ImageError, in bounded time and memory."""

import io
import os
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageCms, PngImagePlugin, TiffImagePlugin
from torch.testing import assert_close

from nstlab.base.files.decoding import ImageError
from nstlab.base.files.limits import MAX_SCANS
from nstlab.base.files.sample_images import samples
from nstlab.images import load_image, resize

MB = 1024**2
MODES = [
    "1",
    "L",
    "P",
    "RGB",
    "RGBA",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
    "I",
    "F",
    "LA",
    "PA",
    "RGBX",
    "RGBa",
    "La",
    "I;16",
    "I;16L",
    "I;16B",
]


def photo(width=48, height=40, mode="RGB") -> Image.Image:
    """A sample picture, small."""
    with Image.open(samples()[0].path) as picture:
        return picture.resize((width, height)).convert(mode)


def as_bytes(picture: Image.Image, file_format: str, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, file_format, **options)
    return file.getvalue()


def refused(source, **options) -> str:
    """The one line of the ImageError that load_image raises: which call, what came, and the way out."""
    with pytest.raises(ImageError) as caught:
        load_image(source, **options)
    message = str(caught.value)
    assert message.startswith("load_image(") and message.endswith((".", "?")) and "\n" not in message
    return message


# fuzzing


def real_files() -> dict[str, bytes]:
    """Small files of every format and of every unusual kind within it."""
    picture, rgba, gray = photo(), photo(mode="RGBA"), photo(mode="L")
    rgba.putalpha(gray)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    text = PngImagePlugin.PngInfo()
    text.add_text("title", "castle", zip=True)
    sixteen = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    frames = {"save_all": True, "append_images": [photo().rotate(90)]}
    return {
        "jpeg": as_bytes(picture, "JPEG"),
        "progressive": as_bytes(picture, "JPEG", progressive=True, exif=exif, icc_profile=profile),
        "cmyk": as_bytes(photo(mode="CMYK"), "JPEG"),
        "png": as_bytes(picture, "PNG", icc_profile=profile, exif=exif, pnginfo=text),
        "rgba png": as_bytes(rgba, "PNG"),
        "palette png": as_bytes(picture.quantize(16), "PNG", transparency=3),
        "16 bits": as_bytes(sixteen, "PNG"),
        "bilevel": as_bytes(photo(mode="1"), "PNG"),
        "animated png": as_bytes(picture, "PNG", **frames),
        "webp": as_bytes(picture, "WEBP", exif=exif),
        "lossless webp": as_bytes(rgba, "WEBP", lossless=True),
        "animated webp": as_bytes(picture, "WEBP", **frames),
        "bmp": as_bytes(picture, "BMP"),
        "palette bmp": as_bytes(picture.quantize(16), "BMP"),
        "tiff": as_bytes(picture, "TIFF", exif=exif),
        "packed tiff": as_bytes(picture, "TIFF", compression="tiff_adobe_deflate"),
        "jpeg tiff": as_bytes(picture, "TIFF", compression="jpeg"),
        "float tiff": as_bytes(Image.fromarray(np.asarray(gray, np.float32) / 255), "TIFF"),
        "lab tiff": as_bytes(photo(mode="LAB"), "TIFF"),
        "gif": as_bytes(picture, "GIF"),
        "animated gif": as_bytes(picture, "GIF", **frames),
    }


FILES = real_files()
SIZES = st.sampled_from([None, 32, 40])


def loads_or_refuses(source, size=None) -> None:
    """It is an image of finite numbers in [0, 1] and of the right size, or one ImageError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a decoder about the damage
        try:
            image = load_image(source, size=size)
        except ImageError as error:
            assert str(error).startswith("load_image(") and "\n" not in str(error)
            return
    assert image.dtype == torch.float32 and image.shape[:2] == (1, 3) and min(image.shape[2:]) >= 32
    assert size is None or max(image.shape) <= size
    assert image.min() >= 0 and image.max() <= 1  # neither is true of NaN


@given(st.binary(max_size=300), SIZES)
def test_random_bytes_are_refused(data, size):
    loads_or_refuses(data, size)


@given(st.sampled_from(sorted(FILES)), st.binary(max_size=300), SIZES)
def test_a_true_beginning_with_random_bytes_is_harmless(name, rest, size):
    loads_or_refuses(FILES[name][:40] + rest, size)


@given(st.sampled_from(sorted(FILES)), st.floats(0, 1), SIZES)
def test_a_cut_file_is_harmless(name, share, size):
    loads_or_refuses(FILES[name][: int(share * len(FILES[name]))], size)


@given(st.sampled_from(sorted(FILES)), st.lists(st.integers(0, 10**6), min_size=1, max_size=8), SIZES)
def test_turned_bits_are_harmless(name, bits, size):
    data = bytearray(FILES[name])
    for bit in bits:
        data[bit // 8 % len(data)] ^= 1 << bit % 8
    loads_or_refuses(data, size)


@given(st.sampled_from(sorted(FILES)), st.integers(0, 120), st.binary(min_size=1, max_size=8), SIZES)
def test_a_forged_header_is_harmless(name, place, lie, size):
    data = bytearray(FILES[name])
    data[place : place + len(lie)] = lie
    loads_or_refuses(data, size)


@given(st.sampled_from(sorted(FILES)), st.sampled_from(sorted(FILES)), st.floats(0, 1), st.floats(0, 1))
def test_spliced_files_are_harmless(first, second, cut, start):
    head, tail = FILES[first], FILES[second]
    loads_or_refuses(head[: int(cut * len(head))] + tail[int(start * len(tail)) :])


SHAPES = st.sampled_from([(32, 40), (40, 32, 3), (33, 32, 4), (3, 32, 32), (1, 3, 32, 32), (32, 32, 2), (31, 32), ()])
DTYPES = st.sampled_from(
    ["?", "u1", ">u2", "u4", "u8", "i1", "i4", "i8", "e", ">f4", "f8", "g", "c8", "M8[s]", "O", "U3", "V2"]
)


@given(SHAPES, DTYPES, st.data())
def test_arrays_of_any_dtype_shape_and_value_are_harmless(shape, dtype, data):
    if np.dtype(dtype).kind == "f":
        value = data.draw(st.one_of(st.floats(0, 1), st.floats(width=16 if dtype == "e" else 32)))
        array = np.full(shape, value, dtype)
        array.flat[:1] = data.draw(st.floats(0, 1))
    elif np.dtype(dtype).kind in "iu":
        array = data.draw(arrays(dtype, shape, elements=st.integers(0, 127), fill=st.just(9)))
    else:
        array = np.zeros(shape, dtype)
    loads_or_refuses(array, data.draw(SIZES))
    loads_or_refuses(array[::-1].T if array.ndim == 2 else array)


@given(st.one_of(st.text(max_size=40), st.sampled_from(["~", "~root", "/", "/dev/null", "/dev/zero", "\ud800", "."])))
@example("\n/0")
def test_any_string_is_harmless(text):
    loads_or_refuses(text)


# large pictures


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "CMYK", "L", "LA", "P", "1", "I;16", "LAB", "YCbCr", "HSV", "F"])
def test_a_picture_in_many_strips_is_the_same_as_in_one(mode):
    picture = photo(64, 20_000).convert("L" if mode in ("I;16", "F") else "RGBA" if mode == "LA" else "RGB")
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)
    elif mode == "F":
        picture = Image.fromarray(np.asarray(picture, np.float32) / 255)
    elif mode == "LAB":
        picture = ImageCms.profileToProfile(
            picture, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
        )
    else:
        picture = picture.convert(mode)
    whole = load_image(picture)
    for top in (0, 9_990, 19_900):
        assert torch.equal(whole[:, :, top : top + 100], load_image(picture.crop((0, top, 64, top + 100))))
    assert torch.equal(load_image(picture, size=10_000), resize(whole, 10_000))


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_large_jpeg_decoded_at_reduced_size_looks_the_same(orientation, progressive):
    exif = Image.Exif()
    exif[0x0112] = orientation
    large = as_bytes(photo(6_000, 4_504), "JPEG", quality=90, exif=exif, progressive=progressive)
    reduced, whole = load_image(large, size=300), resize(load_image(large), 300)
    assert_close(reduced, whole, atol=6 / 255, rtol=0)
    assert (reduced - whole).abs().mean() < 0.3 / 255


def peak(path: Path, size: int | None) -> float:
    """How many MB more a new process takes for a picture than for a small one."""
    code = f"""
import resource, torch
from nstlab.images import ImageError, load_image
load_image("horses", size=64)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    load_image({str(path)!r}, size={size})
except ImageError:
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024 if sys.platform == "linux" else int(done.stdout) / MB


@pytest.mark.posix
@pytest.mark.parametrize(
    ("file_format", "mode", "size", "limit"),
    [
        ("JPEG", "RGB", 256, 100),  # decoded at an eighth
        ("PNG", "L", 256, 200),  # 80 MB of pixels
        ("PNG", "RGB", 256, 450),  # 320 MB of pixels
    ],
)
def test_memory_for_80_megapixels_is_little_more_than_the_decoded_pixels(tmp_path, file_format, mode, size, limit):
    path = tmp_path / "large"
    path.write_bytes(as_bytes(Image.new(mode, (8_900, 8_900)), file_format))
    assert peak(path, size) < limit


@pytest.mark.posix
def test_a_long_picture_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "long.png"
    path.write_bytes(as_bytes(Image.new("RGB", (2_500_000, 32)), "PNG"))
    assert "Take size=2500000 or more" in refused(path, size=512)
    assert peak(path, 512) < 30


def progressive(scans: int) -> bytes:
    """A progressive JPEG with its last scan repeated."""
    data = as_bytes(photo(), "JPEG", progressive=True)
    last = data[data.rfind(b"\xff\xda") : -2]
    return data[:-2] + last * (scans - data.count(b"\xff\xda")) + b"\xff\xd9"


@pytest.mark.parametrize("opened", [False, True])
def test_a_jpeg_of_too_many_scans_is_refused(opened):
    def source(scans: int) -> bytes | Image.Image:
        data = progressive(scans)
        return Image.open(io.BytesIO(data)) if opened else data

    message = refused(source(MAX_SCANS + 1))
    assert "progressive JPEG of more than 100 scans" in message and "save it as a plain JPEG or PNG" in message
    assert load_image(source(MAX_SCANS)).shape == (1, 3, 40, 48)


def test_scans_in_what_is_no_scan_are_not_counted():
    data = as_bytes(photo(), "JPEG", comment=b"\xff\xda" * 1000)
    assert load_image(data + b"\xff\xda" * 1000).shape == (1, 3, 40, 48)


def segments(marker: int, body: bytes, count: int) -> bytes:
    """A JPEG with so many more segments."""
    data, segment = as_bytes(photo(), "JPEG"), bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body
    return data[:2] + segment * count + data[2:]


def chunks(name: bytes, body: bytes, count: int) -> bytes:
    """A PNG with so many more chunks."""
    file, data = io.BytesIO(), as_bytes(photo(), "PNG")
    for _ in range(count):
        PngImagePlugin.putchunk(file, name, body)
    return data[:33] + file.getvalue() + data[33:]


def gif_comments(count: int) -> bytes:
    data = as_bytes(photo(mode="L"), "GIF")
    return data[: 13 + 768] + b"\x21\xfe" + (b"\x01x" * count) + b"\0" + data[13 + 768 :]


def tiff_of_one_tile(side: int) -> bytes:
    """A small TIFF that says of itself that it is stored in one large tile."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[65_000] = tags[65_001] = side  # PIL writes no tags of tiles, so others are renamed
    data = as_bytes(photo(), "TIFF", tiffinfo=tags)
    return data.replace(b"\xe8\xfd", b"\x42\x01").replace(b"\xe9\xfd", b"\x43\x01")


def test_a_tiff_whose_strips_end_before_its_last_row_is_refused():
    data = bytearray(as_bytes(photo(), "TIFF"))
    height = data.index(b"\x01\x01\x04\x00")  # tag 257, ImageLength, a number of 32 bits
    data[height + 8 : height + 12] = (4_000).to_bytes(4, "little")
    assert "cut off" in refused(bytes(data))


BOMBS = {
    "segments": (lambda: segments(0xE5, b"x", 2_000), "too many metadata"),
    "exif segments": (lambda: segments(0xE1, b"Exif\0\0" + b"x" * 60_000, 5), "bytes of EXIF data"),
    "exif chunk": (lambda: chunks(b"eXIf", b"II*\0" + b"\0" * 200_000, 1), "bytes of EXIF data"),
    "chunks": (lambda: chunks(b"teSt", b"", 10_000), "too many metadata"),
    "text": (lambda: chunks(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 20 * MB), 1), "text or its color"),
    "comments": (lambda: gif_comments(100_000), "too many metadata"),
    "tile": (lambda: tiff_of_one_tile(20_000), "more than 80,000,000 pixels"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_with_the_way_out(bomb):
    make, says = BOMBS[bomb]
    message = refused(make())
    assert says in message and "another program" in message


def test_many_metadata_within_the_limits_are_no_bomb():
    for data in segments(0xE5, b"x" * 60_000, 300), chunks(b"teSt", b"x" * 60_000, 300), gif_comments(1_000):
        assert load_image(data).shape == (1, 3, 40, 48)


def test_a_file_too_large_is_refused_unread(tmp_path):
    path = tmp_path / "sparse.png"
    path.write_bytes(FILES["png"])
    os.truncate(path, 100 * 1024 * MB)
    assert "more than 640,000,000, which is the limit" in refused(path)


@pytest.mark.posix
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert "it is a pipe" in refused(tmp_path / "pipe.png")


@pytest.mark.parametrize("shape", [(10_000, 8_001), (10_000, 8_001, 3)])
def test_arrays_have_the_same_limit(shape):
    assert "more than 80,000,000 pixels" in refused(np.broadcast_to(np.uint8(0), shape))
    assert "more than 80,000,000 pixels" in refused(torch.zeros(1).expand(3, 10_000, 8_001))


def test_a_color_profile_that_is_a_number_is_left_out_with_a_warning():
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[34675], tags.tagtype[34675] = 0.5, 12  # the tag of the profile
    with pytest.warns(UserWarning, match="color profile is not used"):
        assert load_image(as_bytes(photo(), "TIFF", tiffinfo=tags)).shape == (1, 3, 40, 48)


# what else can be given


@pytest.mark.parametrize("mode", MODES)
def test_pil_images_of_every_mode_load(mode):
    image = load_image(Image.new(mode, (40, 32)))
    assert image.shape == (1, 3, 32, 40) and 0 <= image.min() <= image.max() <= 1


@pytest.mark.parametrize("size", [np.int8(64), np.uint8(64), np.int64(64)])
def test_a_size_may_be_of_a_numpy_type(size):
    assert load_image("horses", size=size).shape == load_image("horses", size=64).shape


@pytest.mark.parametrize("size", [np.float64(64), np.bool_(True), np.int8(-64), float("nan"), (64, 64)])
def test_other_sizes_are_refused_by_name(size):
    assert "expected a whole number of pixels" in refused("horses", size=size)


def test_a_very_long_picture_keeps_its_shape():
    assert load_image(photo(4_000, 32)).shape == (1, 3, 32, 4_000)
    assert "Take size=4000 or more" in refused(photo(4_000, 32), size=3_900)
    assert load_image(photo(4_000, 64), size=2_000).shape == (1, 3, 32, 2_000)


@pytest.mark.parametrize("value", [1e300, -1e300, 1e39])
@pytest.mark.parametrize("place", [0, -1])
def test_what_no_float32_can_hold_is_refused(value, place):
    array = np.zeros((32, 32))
    array.flat[place] = value
    assert "NaN or infinity found" in refused(array)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: torch.zeros(3, 32, 32, device="meta"), "a meta tensor"),
        (lambda: torch.eye(32).expand(3, 32, 32).to_sparse(), "a sparse tensor"),
    ],
)
def test_a_tensor_without_all_its_values_is_refused(make, kind):
    assert kind in refused(make())


def test_bytes_of_every_kind_are_taken():
    data = FILES["png"]
    spaced = np.zeros(2 * len(data), np.uint8)
    spaced[::2] = np.frombuffer(data, np.uint8)
    expected = load_image(data)
    for view in memoryview(spaced)[::2], memoryview(data).cast("B", (1, len(data))):
        assert torch.equal(load_image(view), expected)


def test_a_path_of_bytes_is_a_path(tmp_path):
    class Entry:
        def __fspath__(self) -> bytes:
            return os.fsencode(tmp_path / "picture.png")

    (tmp_path / "picture.png").write_bytes(FILES["png"])
    assert torch.equal(load_image(Entry()), load_image(FILES["png"]))


def test_a_text_in_place_of_a_path_is_not_repeated_in_full():
    assert len(refused("x" * 10**6)) < 2_000
