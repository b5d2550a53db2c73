"""The app: its widgets, its page of two cells, the requests that its server answers, and its use in a browser."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from nstlab.images import load_image, save_image
from nstlab.notebook.app import StyleTransferApp
from nstlab.photorealism import photorealize
from nstlab.transfer import stylize

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "notebooks" / "app.ipynb"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PROXY = "art.example.org"  # a name that the server is told of
UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


# The widgets and the page


def test_the_app_makes_what_stylize_and_photorealize_make():
    app = StyleTransferApp(size=64, steps=2)
    app.content.choose("horses")
    app.style.choose("great_wave")
    app.live.start()
    app.live.wait()
    pastiche = stylize("horses", "great_wave", size=64, steps=2).image
    assert app.live.image.equal(pastiche)
    app.approach_2.value = True
    app.live.start()
    app.live.wait()
    photograph = photorealize(pastiche, load_image("horses", 64)).image
    assert (app.live.image - photograph).abs().max() < 0.01


def test_its_sliders_are_there_before_start_and_set_the_weights_of_the_run():
    app = StyleTransferApp(size=64, steps=1)
    assert list(app.live.weight_controls) == ["content", "style"]
    app.live.weight_controls["content"].value = 0.4
    app.live.start()
    app.live.wait()
    assert app.live.history[0].weights == {"content": 0.4, "style": 1.0}


def test_it_reads_no_file_by_its_path(tmp_path):
    save_image(load_image("horses", 64), tmp_path / "private.png")
    app = StyleTransferApp()
    app.content.path.value = str(tmp_path / "private.png")  # as a message of a forged page would
    assert (
        app.content.image == "chenonceau_river" and app.content.path not in app.content.children[0].children[0].children
    )


def test_its_page_has_two_short_cells_and_no_output():
    cells = json.loads(PAGE.read_text())["cells"]
    assert [cell["cell_type"] for cell in cells] == ["markdown", "code"]
    assert len(cells[1]["source"]) <= 5 and not cells[1]["outputs"] and "widgets" not in PAGE.read_text()


# The server


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """The port of a server of the app; it is always ended afterwards."""
    if os.name != "posix":
        pytest.skip("the server is ended by a signal of POSIX")
    home = tmp_path_factory.mktemp("app")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(ROOT / "tools" / "serve_app.py"), "--no-browser", f"--port={port}", "--name", PROXY]
    folders = {f"JUPYTER_{kind}_DIR": str(home / kind.lower()) for kind in ("CONFIG", "RUNTIME", "DATA")}
    environment = {**os.environ, **folders, "IPYTHONDIR": str(home / "ipython"), "NSTLAB_PROFILE": "ci"}
    environment["PYTHONPATH"] = str(ROOT)
    with open(home / "log.txt", "w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(120):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None, (home / "log.txt").read_text()[-3000:]
            time.sleep(0.5)
        yield port
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(5)


def answer(port: int, path: str, host: str, **headers: str) -> tuple[int, str]:
    """Status and text of the answer to a GET with this Host, `{port}` standing for the port."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        sent = {"Host": host, **headers}
        connection.request("GET", path, headers={name: value.format(port=port) for name, value in sent.items()})
        response = connection.getresponse()
        return response.status, "" if response.status == 101 else response.read().decode(errors="replace")
    finally:
        connection.close()


@pytest.fixture(scope="module")
def kernel(port):
    """The id of a kernel that the server has started for the page of a local host."""
    status, text = answer(port, "/", "127.0.0.1:{port}")
    assert status == 200
    return re.search(r'"kernelId":\s*"([^"]+)"', text)[1]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example"])
def test_the_page_is_given_to_local_hosts_only(port, kernel, host):
    assert answer(port, "/", host)[0] == 403


HANDSHAKES = [
    ("127.0.0.1:{port}", "http://127.0.0.1:{port}", 101),
    ("localhost:{port}", "http://localhost:{port}", 101),
    (PROXY, f"https://{PROXY}", 101),
    ("evil.example", "http://evil.example", 403),
    ("evil.example:{port}", "http://evil.example:{port}", 403),
    ("127.0.0.1:{port}", "http://evil.example", 403),
    ("127.0.0.1:{port}", "http://127.0.0.1:1", 403),
    ("127.0.0.1:{port}", "null", 403),
    (PROXY, "https://evil.example", 403),
]


@pytest.mark.parametrize(("host", "origin", "status"), HANDSHAKES)
def test_the_websocket_is_opened_for_a_local_host_from_its_own_origin_only(port, kernel, host, origin, status):
    path = f"/api/kernels/{kernel}/channels?session_id=test"
    assert answer(port, path, host, Origin=origin, **UPGRADE)[0] == status


def test_no_file_beside_the_page_is_served(port):
    for path in ("figures/strip.jpg", "app.ipynb", "05_approach_1.ipynb", "%2e%2e/README.md"):
        assert answer(port, f"/voila/files/{path}", "127.0.0.1:{port}")[0] == 403


def test_it_listens_on_the_loopback_interface_only(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outward:
        outward.connect(("192.0.2.1", 9))  # sends nothing; tells the address of another interface
        address = outward.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no other interface")
    with socket.socket() as client:
        client.settimeout(5)
        assert client.connect_ex((address, port)) != 0


# The browser


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; on Debian or Ubuntu: apt-get install chromium")
def test_a_picture_is_uploaded_painted_and_saved(port, tmp_path, record_property):
    sync_api = pytest.importorskip("playwright.sync_api", reason="the browser test needs: pip install playwright")
    save_image(load_image("red_panda", 96), tmp_path / "mine.png")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(60_000)
            began = time.monotonic()
            page.goto(f"http://127.0.0.1:{port}/")
            page.get_by_role("button", name="Start").wait_for()
            record_property("seconds until the app is there", round(time.monotonic() - began, 1))
            assert page.get_by_role("slider", name="weight of ").count() == 2
            for width in (800, 1280):
                page.set_viewport_size({"width": width, "height": 900})
                assert page.evaluate("document.documentElement.scrollWidth") <= width
            for kind in ("content", "style"):
                assert page.get_by_label(f"{kind} sample").count() == 1
            with page.expect_file_chooser() as chooser:
                page.get_by_role("button", name="upload content image").click()
            chooser.value.set_files(tmp_path / "mine.png")
            page.get_by_alt_text("mine.png").wait_for()
            with page.expect_file_chooser() as chooser:
                page.get_by_role("button", name="upload style image").click()
            chooser.value.set_files({"name": "large.jpg", "mimeType": "image/jpeg", "buffer": bytes(20_000_000)})
            page.get_by_role("alert").get_by_text("not those of a known picture format").wait_for()
            page.get_by_role("checkbox").check()
            page.get_by_role("button", name="Start").click()
            page.get_by_text("weight of photorealism").wait_for()
            page.get_by_role("status").get_by_text("Finished").wait_for()
            with page.expect_download() as download:
                page.get_by_role("link", name="Save picture").click()
            with Image.open(download.value.path()) as saved:
                assert saved.format == "PNG" and max(saved.size) == 96
            folder = os.environ.get("NSTLAB_SCREENSHOTS")
            if folder:
                page.screenshot(path=str(Path(folder) / "app.png"), full_page=True)
        finally:
            browser.close()
