"""Every page of the web book, in a real browser. `make book` builds it; without it, these tests are skipped."""

import functools
import html
import inspect
import json
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
    const texts = "article :is(p, li, td, th, dt, h1, h2, h3, a, code, pre, pre span, figcaption, summary, label)";
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


def choices():
    """What the page "Try it here" offers, and the pictures that it can show, by their sizes in bytes."""
    folder = BOOK / "_static" / "try"
    offer = json.loads((folder / "choices.js").read_text("utf-8").removeprefix("const CHOICES = ").rstrip(";\n"))
    return offer, {path.name: path.stat().st_size for path in folder.glob("*.webp")}


def test_try_it_here_offers_only_pictures_that_are_there_and_weighs_less_than_6_mb():
    offer, sizes = choices()
    contents, styles, weights, layers = (offer[part] for part in ("contents", "styles", "weights", "layers"))
    runs = [f"{content}-{style}-{weight}" for content in contents for style in styles for weight in weights]
    names = {*contents, *styles, *(f"{run}-{step}" for run in runs for step in offer["steps"])}
    names |= {f"{name}-{layer}" for name in (*contents, *styles) for layer in layers}
    names |= {f"{style}-{layer}-gram" for style in styles for layer in layers}
    assert {f"{name}.webp" for name in names} == set(sizes)
    assert sum(sizes.values()) + (BOOK / "try.html").stat().st_size < 6_000_000
    for losses in map(offer["losses"].get, runs):
        assert losses[0] == [0, 1] and len(losses) == len(offer["steps"])  # the units: the picture itself
        assert losses[-1][0] > 0 and losses[-1][1] < 1
    for content in contents:
        for style in styles:  # the larger the weight, the more is left of the content, and the less is painted
            ends = [offer["losses"][f"{content}-{style}-{weight}"][-1] for weight in weights]
            assert ends == sorted(ends, reverse=True) and ends[0][1] < ends[-1][1]


def pictures(page):
    """The pictures of "Try it here", loaded: source and alternative text of each."""
    page.wait_for_function("[...document.querySelectorAll('article img')].every(image => image.complete)")
    seen = page.eval_on_selector_all(
        "article img", "all => all.map(image => [image.src, image.alt, image.naturalWidth])"
    )
    assert all(width > 0 for *_, width in seen)
    return {(src.rsplit("/", 1)[1], alt) for src, alt, _ in seen}


def press(page, control, key):
    """Tab to a control and press a key; gives its texts for the eye and the ear."""
    for _ in range(200):
        if page.evaluate("document.activeElement.id") == control:
            break
        page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press(key)
    return page.evaluate("document.activeElement.getAttribute('aria-valuetext')")


def test_try_it_here_with_the_keyboard_alone(page):
    offer, sizes = choices()
    requests = []
    page.on("request", lambda request: request.url.endswith(".webp") and requests.append(request.url))
    page.goto("try.html")
    seen = pictures(page)
    assert len(seen) == 3 + 3 * len(offer["layers"]) and len(requests) < 25 < len(sizes)
    for control, changed in (("try-content", 7), ("try-style", 12)):  # of these, one is the pastiche
        press(page, control, "ArrowDown")
        before, seen = seen, pictures(page)
        assert len(seen - before) == changed
    for control, key, text in (
        ("try-weight", "ArrowRight", f"{offer['weights'][2]}"),
        ("try-weight", "End", f"{offer['weights'][-1]}"),
        ("try-step", "ArrowLeft", f"{offer['steps'][-2]}"),
        ("try-step", "Home", "0"),
    ):
        assert press(page, control, key) == text
        before, seen = seen, pictures(page)
        ((source, alt),) = seen - before
        assert source.rsplit(".", 1)[0].split("-")[2 if "weight" in control else 3] == text
        assert f"{control.removeprefix('try-')} {text}" in alt
    page.get_by_role("status").filter(has_text="Content loss 0.000, style loss 1.000").wait_for(state="attached")


def test_try_it_here_from_a_file_and_without_javascript(browser):
    address = (BOOK / "try.html").as_uri()
    page = browser.new_page()
    page.goto(address)
    before = pictures(page)
    press(page, "try-step", "ArrowLeft")
    assert len(pictures(page) - before) == 1
    page.close()
    page = browser.new_page(java_script_enabled=False)
    page.goto(address)
    page.get_by_text("Without JavaScript this page shows one choice").wait_for()
    assert len(pictures(page)) == 3 and page.locator("article :is(select, input, table):visible").count() == 0
    page.close()
