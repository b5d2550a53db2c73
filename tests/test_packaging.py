"""One place for packages and versions, and a README that tells the truth."""

import os
import re
import sys
from pathlib import Path

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # which pytest brings there

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "teaching").glob("*.md")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))


def requirements() -> list[str]:
    return [
        *PROJECT["dependencies"],
        *(r for extra in PROJECT["optional-dependencies"].values() for r in extra),
    ]


def test_every_requirement_has_a_lower_bound_and_no_exact_pin():
    for requirement in requirements():
        assert ">=" in requirement and "==" not in requirement, requirement


def test_environment_yml_asks_pyproject_for_everything_but_python():
    lines = [line.strip() for line in (ROOT / "environment.yml").read_text("utf-8").splitlines()]
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


def test_oldest_txt_has_the_lower_bound_of_every_requirement():
    """What the job `oldest-versions` installs and tries."""
    bounds = [re.sub(r"(\[.*\])?>=([\d.]+).*", r"==\2", requirement) for requirement in requirements()]
    assert (ROOT / "tests" / "oldest.txt").read_text("utf-8").splitlines()[1:] == bounds


def test_the_versions_of_python_are_those_that_are_tried():
    minors = range(10, 14)
    assert PROJECT["requires-python"] == f">=3.{minors[0]},<3.{minors[-1] + 1}"
    tried = workflow("test")["jobs"]["cpu"]["strategy"]["matrix"]["python"]
    assert tried == [f"3.{minor}" for minor in minors]
    assert all(f"Programming Language :: Python :: {version}" in PROJECT["classifiers"] for version in tried)


def workflow(name: str) -> dict:
    return yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text("utf-8"))


def commands(job: dict) -> list[str]:
    return [line for step in job["steps"] for line in step.get("run", "").splitlines()]


@pytest.mark.parametrize("name", ["test", "book"])
def test_a_workflow_is_well_formed_and_runs_what_there_is(name):
    for job in workflow(name)["jobs"].values():
        assert job["runs-on"] and all(("run" in step) != ("uses" in step) for step in job["steps"])
        for command in commands(job):
            words = command.split()
            assert words[0] != "make" or words[1] in TARGETS, command
            assert all((ROOT / word).exists() for word in words if word.startswith((".ci/", "tests/"))), command


def test_the_job_without_make_runs_the_lines_of_the_readme():
    """In any shell: zsh and PowerShell would take the brackets of an extra for their own."""
    (block,) = re.findall(r"```sh\n(python -m venv .*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    *lines, last = block.replace(".venv\\Scripts\\", "${{ matrix.bin }}").splitlines()
    assert commands(workflow("test")["jobs"]["without-make"])[: len(lines)] == lines
    assert last == "${{ matrix.bin }}nstlab lab notebooks"
    assert '".[lab]"' in block


def test_binder_takes_pytorch_for_the_cpu_within_the_bounds_of_pyproject():
    listed = yaml.safe_load((ROOT / ".binder" / "environment.yml").read_text("utf-8"))["dependencies"]
    torch, torchvision = (r for r in PROJECT["dependencies"] if r.startswith("torch"))
    assert listed[2:] == [torch.replace("torch", "pytorch-cpu"), torchvision]
    assert os.access(ROOT / ".binder" / "postBuild", os.X_OK) or os.name == "nt"
    for page in [ROOT / "README.md", ROOT / "docs" / "book" / "conf.py"]:
        assert "mybinder.org/v2/gh" in page.read_text("utf-8") and "/main?labpath=" in page.read_text("utf-8")


def test_the_card_is_kept():
    names = {re.split(r"[><=!]", r)[0] for r in requirements()}
    assert {"torch", "torchvision", "jupyterlab", "ipywidgets", "matplotlib", "pillow", "nbval"} <= names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_local_links_and_their_anchors_exist(page):
    for target in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", page.read_text("utf-8")):
        link = "".join(target)
        path, _, anchor = link.partition("#")
        place = page.parent / path if path else page
        if not re.match("https?:", link):
            assert place.exists() and (not anchor or anchor in anchors(place)), link


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_every_line_of_the_checklist_has_a_link_unless_it_asks_the_reviewer():
    checklist = (ROOT / "docs/jose_checklist.md").read_text("utf-8")
    lines = re.findall(r"^\| (?!line |---)(.+) \| (.+) \|$", checklist, re.M)
    assert len(lines) > 15
    for line, answer in lines:
        assert "](" in answer or answer == "for each reviewer to say", line


def test_the_outcomes_of_the_syllabus_and_of_the_paper_are_as_many():
    syllabus, paper = ((ROOT / page).read_text("utf-8") for page in ("docs/teaching/syllabus.md", "paper.md"))
    outcomes = syllabus.split("## What students can do")[1].split("\n## ")[0]
    assert re.findall(r"^\d+\.", outcomes, re.M) == re.findall(r"^\d+\.", paper, re.M)


def test_the_form_for_an_error_in_the_course_lists_every_page():
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/course_error.yml").read_text("utf-8"))
    (pages,) = (question["attributes"]["options"] for question in form["body"] if question.get("id") == "page")
    named = re.findall(r"^\| \[(\d\d .+?)\]", (ROOT / "README.md").read_text("utf-8"), re.M)
    assert len(named) == len(list((ROOT / "notebooks").glob("[0-9]*.ipynb"))) and pages[: len(named)] == named


def test_the_repository_has_one_address():
    (address,) = re.findall(r"^repository-code: https://(\S+)", (ROOT / "CITATION.cff").read_text("utf-8"), re.M)
    for page in [*PAGES, ROOT / "pyproject.toml", *(ROOT / "notebooks").glob("*.ipynb")]:
        for place in re.findall(r"github(?:\.com)?/[\w-]+/nstlab\b", page.read_text("utf-8")):
            assert place.replace("github/", "github.com/") == address, page


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 120


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "make " in page.read_text("utf-8")], ids=lambda page: page.name
)
def test_make_targets_named_on_a_page_exist(page):
    named = re.findall(r"`make ([a-z]+)|^make ([a-z]+)", page.read_text("utf-8"), re.M)
    assert {"".join(found) for found in named} <= TARGETS


def test_a_folder_that_the_guide_makes_in_the_checkout_is_ignored():
    """Hand-ins and grades are neither committed nor linted."""
    made = re.findall(r"^mkdir (\w+)", (ROOT / "docs/teaching/guide.md").read_text("utf-8"), re.M)
    assert made and {f"/{name}/" for name in made} <= set((ROOT / ".gitignore").read_text("utf-8").splitlines())
