"""Every page of the web book, in a real browser. `make book` builds it; without it, these tests are skipped."""

import functools
import html
import inspect
import re
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest

import nstlab

BOOK = Path(__file__).parents[2] / "out" / "book"
PAGES = sorted(path.relative_to(BOOK).as_posix() for path in BOOK.rglob("*.html") if "_static" not in path.parts)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not PAGES, reason="the book is not built; `make book` builds it"),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; on Debian or Ubuntu: apt-get install chromium"),
]

# the smallest ratio of contrast between a text and what lies behind it, as WCAG defines it, and that text
WEAKEST_CONTRAST = """() => {
    const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const rgba = color => {
        canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
    const behind = node => {
        for (; node; node = node.parentElement) {
            const color = rgba(getComputedStyle(node).backgroundColor);
            if (color[3] > 250) return color;
        }
        return [255, 255, 255, 255];
    };
    let weakest = [21, ""];
    const texts = "article :is(p, li, td, th, dt, h1, h2, h3, a, code, pre, pre span, figcaption, summary)";
    for (const node of document.querySelectorAll(texts)) {
        if (!node.innerText?.trim() || !node.checkVisibility() || node.matches(".headerlink")) continue;
        const [a, b] = [rgba(getComputedStyle(node).color), behind(node)].map(luminance);
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < weakest[0]) weakest = [ratio, node.innerText.slice(0, 80)];
    }
    return weakest;
}"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def address():
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=BOOK))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    """A page that must not ask another host for anything, nor write an error to the console."""
    page = browser.new_page(base_url=address, viewport={"width": 1280, "height": 900})
    faults = []
    page.on("console", lambda message: message.type == "error" and faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: request.url.startswith(("data:", address)) or faults.append(request.url))
    yield page
    page.close()
    assert not faults


@pytest.mark.parametrize("name", PAGES)
def test_page(page, name):
    page.goto(name)
    if page.locator(".math").count():  # MathJax has set every equation, and understood it
        page.wait_for_function("MathJax.startup?.promise?.then(() => true)")
        assert page.locator("mjx-container").count() == page.locator(".math").count()
        assert page.locator("[data-mml-node=merror], mjx-container [fill=red]").count() == 0
    assert [image for image in page.locator("img").all() if not image.get_attribute("alt")] == []
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    page.evaluate("document.querySelectorAll('details').forEach(solution => (solution.open = true))")
    for width in (1280, 400):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        ratio, text = page.evaluate(WEAKEST_CONTRAST)
        assert ratio >= 4.5, (scheme, ratio, text)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", background)[:3])) < 64


def test_no_link_and_no_anchor_is_broken():
    texts = {name: (BOOK / name).read_text("utf-8") for name in PAGES}
    anchors = {name: set(re.findall(r'\bid="([^"]+)"', text)) for name, text in texts.items()}
    broken = []
    for name, text in texts.items():
        for href in re.findall(r'<a\b[^>]*\bhref="([^"]*)"', text):
            link = urlsplit(urljoin(name, href))
            if link.scheme in ("https", "http", "mailto"):
                continue
            target, anchor = unquote(link.path) or name, unquote(link.fragment)
            if not (BOOK / target).is_file() or (anchor and anchor not in anchors.get(target, ())):
                broken.append((name, href))
    assert not broken


def test_links_to_the_repository_lead_to_files_that_it_has():
    links = {link for name in PAGES for link in re.findall(r"/blob/main/([^\"#]+)", (BOOK / name).read_text("utf-8"))}
    assert links and [link for link in links if not (BOOK.parents[1] / unquote(link)).exists()] == []


def test_search_finds_the_gram_matrix(page):
    page.goto("search.html?q=Gram")
    page.locator("#search-results li a", has_text="04 Style").first.wait_for()


def test_the_reference_has_every_public_name_and_all_words_of_its_docstring():
    source = (BOOK / "api.html").read_text("utf-8")
    letters = functools.partial(re.sub, r"[\W_]+", "")
    words = letters(html.unescape(re.sub(r"<[^>]+>", "", source)))
    for name in nstlab.__all__:
        assert f'id="nstlab.{name}"' in source, name
        value = getattr(nstlab, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert letters(inspect.getdoc(value)) in words, name


def test_notebooks_hide_what_is_for_the_tests_and_have_their_buttons_and_solutions():
    text = (BOOK / "notebooks" / "04_style.html").read_text("utf-8")
    assert "tag_remove-cell" not in text and "the run has one loss" not in text
    assert "<details><summary>Solution" in text and "<figcaption" in text
    for place in ("colab.research.google.com/github/nstlab/nstlab/blob", "mybinder.org/v2/gh/nstlab/nstlab"):
        assert place in text
