"""No file of weights does harm: it gives filters of finite numbers or one WeightsError, and no cache is spoilt."""

import hashlib
import http.server
import io
import os
import pickle
import socket
import threading
import urllib.request
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nstlab.base.files.architecture import shapes
from nstlab.base.files.filter_files import WeightsError, load_filters
from nstlab.vgg import VGG

GB = 1024**3


def refused(weights: object) -> str:
    """The message of the WeightsError for these weights: the call, what came, and at least one more sentence."""
    with pytest.raises(WeightsError) as caught:
        load_filters("vgg16", weights)
    message = str(caught.value)
    assert message.startswith("VGG('vgg16', weights=") and "\n" not in message and message.endswith(".")
    assert len(message) < 800
    return message


def with_first(tensor: torch.Tensor) -> dict[str, torch.Tensor]:
    """Tensors that are zeros without memory, but the first one, in the forms of VGG-16."""
    return {key: torch.zeros(1).expand(shape) for key, shape in shapes("vgg16").items()} | {"conv1_1.weight": tensor}


FIRST = (64, 3, 3, 3)


# what a file can be


class Touching:
    """An object whose unpickling makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, legacy):
    path, touched = tmp_path / "code.pth", tmp_path / "touched"
    torch.save({"conv1_1.weight": Touching(touched)}, path, _use_new_zipfile_serialization=not legacy)
    message = refused(path)
    assert "pathlib.Path.touch" in message or "not a tensor" in message or "damaged or of another kind" in message
    assert not touched.exists()
    path.write_bytes(pickle.dumps(Touching(touched), protocol=2))
    refused(path)
    assert not touched.exists()


@pytest.mark.parametrize("name", ["own.pth", "own.safetensors", "own.bin"])
@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it is empty"),
        (b"x", "damaged or of another kind"),
        (b"\0" * 5_000, "damaged or of another kind"),
        (b"\n<!DOCTYPE html>\n<html><title>404</title></html>", "it is a web page"),
        (b"<HTML lang='en'></HTML>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "a pointer of Git LFS"),
    ],
)
def test_what_is_no_file_of_weights_is_told_what_it_is(tmp_path, name, data, says):
    (tmp_path / name).write_bytes(data)
    message = refused(tmp_path / name)
    assert says in message and name in message


@pytest.mark.parametrize(
    ("tensor", "says"),
    [
        (torch.full(FIRST, float("nan")), "holds NaN or infinity"),
        (torch.full(FIRST, 1e300, dtype=torch.float64), "holds NaN or infinity"),
        (torch.zeros(FIRST, device="meta"), "is on the meta device"),
        (torch.zeros(FIRST).to_sparse(), "is sparse"),
        (torch.zeros(FIRST, dtype=torch.int64), "has dtype torch.int64"),
        (torch.zeros(FIRST, dtype=torch.complex64), "has dtype torch.complex64"),
        (torch.zeros(FIRST, dtype=torch.bool), "has dtype torch.bool"),
        (torch.zeros(64, 3, 5, 5), "has shape (64, 3, 5, 5)"),
        ("filters", "is missing"),
    ],
)
@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated", "ignore:Validating sparse tensor")
def test_tensors_that_are_no_filters_are_refused_by_name(tmp_path, tensor, says):
    torch.save(with_first(tensor), tmp_path / "own.pth")
    message = refused(tmp_path / "own.pth")
    assert "'conv1_1.weight'" in message and says in message and "needs shape (64, 3, 3, 3) of finite floats" in message


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_and_parameters_are_taken(tmp_path, dtype):
    torch.save(with_first(torch.nn.Parameter(torch.ones(FIRST, dtype=dtype))), tmp_path / "own.pth")
    weight = load_filters("vgg16", tmp_path / "own.pth").tensors["conv1_1.weight"]
    assert torch.equal(weight, torch.ones(FIRST)) and not weight.requires_grad


def test_filters_of_the_other_network_name_the_choice(tmp_path):
    torch.save(load_filters("vgg19", "random").tensors, tmp_path / "vgg19.pth")
    load_filters("vgg16", tmp_path / "vgg19.pth")  # which has all that VGG-16 has, and more
    torch.save(with_first(torch.zeros(FIRST)), tmp_path / "vgg16.pth")
    with pytest.raises(WeightsError, match=r"'conv3_4.weight' is missing.*Choose the network that the file was made"):
        load_filters("vgg19", tmp_path / "vgg16.pth")


@pytest.mark.parametrize("name", ["sparse.pth", "sparse.safetensors"])
def test_a_file_of_100_gigabytes_is_refused_unread(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\3\4" if name.endswith(".pth") else (1000).to_bytes(8, "little") + b"{}")
    os.truncate(tmp_path / name, 100 * GB)
    assert "it has 107.4 GB" in refused(tmp_path / name)


def test_a_small_file_that_unpacks_to_a_huge_one_is_refused(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}, protocol=2))
        archive.writestr("archive/data/0", b"\0" * 10_000)
    data, size = bytearray(file.getvalue()), (10_000).to_bytes(4, "little")
    place = data.rindex(size)  # in the directory at the end
    data[place : place + 4] = (2**32 - 2).to_bytes(4, "little")
    (tmp_path / "bomb.pth").write_bytes(data)
    assert "it has 4.3 GB" in refused(tmp_path / "bomb.pth")


def test_what_is_no_path_of_a_file_is_refused(tmp_path):
    assert "no such file" in refused("torchvison") and "'torchvision', 'random'" in refused("torchvison")
    assert "not a file" in refused(tmp_path)
    for weights in 5, object(), b"own.pth", "own\0.pth", "~nobody_at_all/own.pth", "", "x" * 10_000:
        with pytest.raises(WeightsError, match="cannot be read"):
            load_filters("vgg16", weights)


@pytest.mark.posix
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    assert "a pipe" in refused(tmp_path / "pipe.pth")


def test_the_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    torch.save(with_first(torch.ones(FIRST)), tmp_path / "own.pth")
    assert load_filters("vgg16", "~/own.pth").tensors["conv1_1.weight"].min() == 1


# fuzzing


def real_files() -> dict[str, bytes]:
    """Small files of every form that torch and safetensors write."""
    tensors = {"conv1_1.weight": torch.rand(2, 3, 3, 3), "conv1_1.bias": torch.zeros(2)}
    files = {".safetensors": safetensors.torch.save(tensors)}
    for name, new in ("zip.pth", True), ("legacy.pth", False):
        file = io.BytesIO()
        torch.save(tensors, file, _use_new_zipfile_serialization=new)
        files[name] = file.getvalue()
    return files


FILES = real_files()
fuzzed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def loads_or_refuses(path: Path, data: bytes) -> None:
    """It is one WeightsError: no small file holds the filters of a network."""
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about the form of the file
        refused(path)


@given(st.sampled_from(sorted(FILES)), st.binary(max_size=300))
@fuzzed
def test_random_bytes_are_refused(tmp_path, name, data):
    loads_or_refuses(tmp_path / f"own{name}", data)


@given(st.sampled_from(sorted(FILES)), st.floats(0, 1))
@fuzzed
def test_a_cut_file_is_refused(tmp_path, name, share):
    loads_or_refuses(tmp_path / f"own{name}", FILES[name][: int(share * len(FILES[name]))])


@given(st.sampled_from(sorted(FILES)), st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
@fuzzed
def test_turned_bits_are_refused(tmp_path, name, bits):
    data = bytearray(FILES[name])
    for bit in bits:
        data[bit // 8 % len(data)] ^= 1 << bit % 8
    loads_or_refuses(tmp_path / f"own{name}", data)


@given(st.sampled_from(sorted(FILES)), st.integers(0, 400), st.binary(min_size=1, max_size=8))
@fuzzed
def test_a_forged_header_is_refused(tmp_path, name, place, lie):
    data = bytearray(FILES[name])
    data[place : place + len(lie)] = lie
    loads_or_refuses(tmp_path / f"own{name}", data)


# the caches


class Served(http.server.BaseHTTPRequestHandler):
    """Sends the first bytes of a checkpoint that it says is longer."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self.wfile.write(b"x" * 50_000)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a server on this machine whose every download is cut off."""
    with http.server.HTTPServer(("127.0.0.1", 0), Served) as http_server:
        thread = threading.Thread(target=http_server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http_server.server_port}"
        http_server.shutdown()
        thread.join()


@pytest.fixture
def downloads(monkeypatch, tmp_path, server):
    """torch's cache in a new folder, and its downloads from the server of this machine."""
    urlopen = urllib.request.urlopen
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, **options: urlopen(server, **options))
    return tmp_path / "torch"


def names_the_way_out(message: str) -> bool:
    return "Give weights=PATH to a local copy, or leave weights out" in message


def test_a_cut_download_is_refused_and_not_kept(downloads):
    message = refused("torchvision")
    assert "could not be downloaded" in message and names_the_way_out(message)
    assert [path for path in downloads.rglob("*") if path.is_file()] == []


def test_a_server_that_falls_silent_is_given_up(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("nstlab.base.files.filter_files.SILENCE", 0.2)
    urlopen = urllib.request.urlopen
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections and never answers
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr(urllib.request, "urlopen", lambda url, **options: urlopen(address, **options))
        message = refused("torchvision")
    assert "timed out" in message and names_the_way_out(message)


def checkpoint(folder: Path, data: bytes) -> Path:
    """torchvision's checkpoint of VGG-16 in torch's cache, with this content."""
    path = folder / "hub" / "checkpoints" / "vgg16-397923af.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return path


def test_a_changed_file_in_the_cache_is_refused_and_told_to_be_deleted(downloads):
    path = checkpoint(downloads, b"half a checkpoint")
    message = refused("torchvision")
    assert str(path) in message and "does not begin with 397923af" in message and "Delete it" in message
    assert path.read_bytes() == b"half a checkpoint"


def test_a_file_in_the_cache_is_loaded_without_its_code(downloads, tmp_path, monkeypatch):
    file = io.BytesIO()
    torch.save({"features.0.weight": Touching(tmp_path / "touched")}, file)
    path = checkpoint(downloads, file.getvalue())
    digest = hashlib.sha256(file.getvalue()).hexdigest()[:8]
    renamed = path.with_name(f"vgg16-{digest}.pth")
    path.rename(renamed)
    from torchvision.models import VGG16_Weights

    monkeypatch.setattr(VGG16_Weights.DEFAULT.value, "url", f"https://example.org/{renamed.name}", raising=True)
    assert "cannot be read as a file of weights" in refused("torchvision")
    assert not (tmp_path / "touched").exists()


def test_a_cache_that_cannot_be_written_is_named_with_the_way_out(downloads, monkeypatch):
    downloads.write_text("a file where a folder should be")
    message = refused("torchvision")
    assert str(downloads) in message and names_the_way_out(message)
    assert downloads.read_text() == "a file where a folder should be"
    monkeypatch.setenv("TORCH_HOME", str(downloads / "torch"))
    assert names_the_way_out(refused("torchvision"))


@pytest.fixture
def small_photographs(monkeypatch):
    """Mean responses are taken over the photographs at 64 pixels, for tests of where they are kept."""
    monkeypatch.setattr("nstlab.vgg.MEAN_RESPONSE_SIZE", 64)


@pytest.mark.usefixtures("small_photographs")
def test_mean_responses_are_computed_where_they_cannot_be_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "good"))
    expected = VGG("vgg16", weights="random", normalized=True).conv1_1.weight
    (tmp_path / "file").touch()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "file"))
    assert torch.equal(VGG("vgg16", weights="random", normalized=True).conv1_1.weight, expected)


@pytest.mark.usefixtures("small_photographs")
@pytest.mark.parametrize("torn", [b"", b"\0" * 1000])
def test_a_torn_file_of_mean_responses_is_computed_again(tmp_path, monkeypatch, torn):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    expected = VGG("vgg16", weights="random", normalized=True).conv1_1.weight
    (kept,) = tmp_path.rglob("mean_responses_*")
    whole = kept.read_bytes()
    kept.write_bytes(torn)
    assert torch.equal(VGG("vgg16", weights="random", normalized=True).conv1_1.weight, expected)
    assert kept.read_bytes() == whole and list(kept.parent.iterdir()) == [kept]
