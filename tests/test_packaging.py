"""One place for packages and versions, and a README that tells the truth."""

import re
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # which pytest brings there

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "teaching").glob("*.md")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def requirements() -> list[str]:
    return [
        *PROJECT["dependencies"],
        *(r for extra in PROJECT["optional-dependencies"].values() for r in extra),
    ]


def test_every_requirement_has_a_lower_bound_and_no_exact_pin():
    for requirement in requirements():
        assert ">=" in requirement and "==" not in requirement, requirement


def test_environment_yml_asks_pyproject_for_everything_but_python():
    lines = [line.strip() for line in (ROOT / "environment.yml").read_text().splitlines()]
    listed = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
    assert f"python{PROJECT['requires-python']}" in listed
    assert "-e .[lab,test]" in listed
    assert set(listed) == {
        "conda-forge",
        f"python{PROJECT['requires-python']}",
        "pip",
        "pip:",
        "-e .[lab,test]",
    }


def test_the_card_is_kept():
    names = {re.split(r"[><=!]", r)[0] for r in requirements()}
    assert {"torch", "torchvision", "jupyterlab", "ipywidgets", "matplotlib", "pillow", "nbval"} <= names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_local_links_exist(page):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)|src=\"([^\"]+)\"", page.read_text("utf-8")):
        path = "".join(target)
        assert re.match("https?:", path) or (page.parent / path).exists(), path


def test_the_repository_has_one_address():
    (address,) = re.findall(r"^repository-code: https://(\S+)", (ROOT / "CITATION.cff").read_text("utf-8"), re.M)
    for page in [*PAGES, *(ROOT / "notebooks").glob("*.ipynb")]:
        for place in re.findall(r"github(?:\.com)?/[\w-]+/nstlab\b", page.read_text("utf-8")):
            assert place.replace("github/", "github.com/") == address, page


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 120


def test_make_targets_named_in_the_readme_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"`make ([a-z]+)`|^make ([a-z]+)", (ROOT / "README.md").read_text(), re.M)) and all(
        "".join(t) in targets
        for t in re.findall(r"`make ([a-z]+)`|^make ([a-z]+)", (ROOT / "README.md").read_text(), re.M)
    )
