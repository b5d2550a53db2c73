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


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+?)\)|src=\"([^\"]+)\"", (ROOT / "README.md").read_text()))
def test_local_links_of_the_readme_exist(target):
    path = "".join(target)
    assert path.startswith("https://") or (ROOT / path).exists(), path


def test_make_targets_named_in_the_readme_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"`make ([a-z]+)`|^make ([a-z]+)", (ROOT / "README.md").read_text(), re.M)) and all(
        "".join(t) in targets
        for t in re.findall(r"`make ([a-z]+)`|^make ([a-z]+)", (ROOT / "README.md").read_text(), re.M)
    )
