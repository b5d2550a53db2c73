"""The web book: pages are copied beside this file by `make book`, with the folders that they have in the repository."""

import inspect
import re
from importlib import import_module
from importlib.resources import files
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.typing import stringify_annotation

import nstlab

HERE = Path(__file__).parent
REPOSITORY = re.search(r"^repository-code: (\S+)", (HERE / "CITATION.cff").read_text("utf-8"), re.M)[1]

project = "nstlab"
author = "the nstlab authors"
copyright = f"{author}. Text and figures CC BY 4.0, code MIT"
version = release = nstlab.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath", "html_image", "deflist", "attrs_block"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the outputs are those in the notebooks
nb_merge_streams = True
autodoc_member_order = "bysource"
maximum_signature_line_length = 88

html_theme = "furo"
html_title = "nstlab"
html_static_path = ["static", str(files("mathjax") / "static/mathjax/es5/tex-svg.js")]  # one file, and no fonts
html_favicon = "static/icon.svg"
html_css_files = ["book.css"]
mathjax_path = "tex-svg.js"
html_copy_source = html_show_sourcelink = False
html_show_search_summary = False  # or each hit would fetch a page with all its pictures
highlight_language = "text"  # of blocks that name none: equations
pygments_dark_style = "github-dark"


def write_api(app: Sphinx) -> None:
    """The page of every public name, by module, in the order in which the package tells of them."""
    order = re.findall(r"`(\w+)`", nstlab.__doc__)
    lines = ["# API reference", "", "Every public name, imported from `nstlab`, in the order of the story. [1] and [2]"]
    lines += ["are in the [bibliography](bibliography.md). Every example is run as a test.", ""]
    for module in sorted(nstlab.NAMES, key=lambda module: order.index(module.split(".")[1])):
        lines += [f"## {module}", "", (import_module(module).__doc__ or "").strip().split("\n")[0], "", "```{eval-rst}"]
        for name in nstlab.NAMES[module]:
            lines += entry(name, module)
        lines += ["```", ""]
    (HERE / "api.md").write_text("\n".join(lines), "utf-8")


def entry(name: str, module: str) -> list[str]:
    """The directive that documents a name; a constant has the comment beside it in place of a docstring."""
    value = getattr(nstlab, name)
    if inspect.isfunction(value):
        return [f".. autofunction:: nstlab.{name}", ""]
    if inspect.isclass(value):
        return [f".. autoclass:: nstlab.{name}", "   :members:", ""]
    comment = re.search(rf"^{name} = .*?  # (.*)$", inspect.getsource(import_module(module)), re.M)
    text = f"{str(value).replace(' | ', ', ')}." if name == "ImageSource" else f"``{value!r}``"
    return [f".. py:data:: nstlab.{name}", "", f"   {text} {comment[1] if comment else ''}", ""]


def name_types(
    app, what, name, obj, options, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """A signature that says ImageSource, not the eight types that it stands for."""
    sources = stringify_annotation(nstlab.ImageSource, "smart")
    return signature and signature.replace(sources, "~nstlab.ImageSource"), returns


def write_docstring(app, what, name, obj, options, lines: list[str]) -> None:
    """A docstring of plain text as reST: equations stay as they are typed, each argument begins a line."""
    result = []
    for block in re.split(r"\n\s*\n", "\n".join(lines).strip("\n")):
        rows = block.split("\n")
        if block.startswith(">>>"):
            result += [*rows, ""]
        elif all(row.startswith("    ") for row in rows):
            result += ["::", "", *rows, ""]
        else:
            arguments = any(re.match(r"\w[\w, ]*: ", row) for row in rows)
            for row in rows:
                begins = re.match(r"\w[\w, ]*: |Raises |Gives ", row)
                result.append(("| " if begins or row is rows[0] else "  ") * arguments + as_rest(row.strip()))
            result.append("")
    lines[:] = result


def as_rest(text: str) -> str:
    """One line with its signs escaped; `code` is code, and a link where it is a public name."""
    parts = re.split(r"`([^`]+)`", text)
    parts[::2] = [re.sub(r"([\\*_|])", r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [
        f":py:obj:`{part} <nstlab.{part}>`" if part in nstlab.__all__ else f"``{part}``" for part in parts[1::2]
    ]
    return "".join(parts)


def complete(app: Sphinx, doctree: nodes.document) -> None:
    """Links to files that are no pages lead to the repository; buttons for a notebook; first uses of glossary terms."""
    page = app.env.docname
    for link in list(doctree.findall(addnodes.pending_xref)):
        if link["reftype"] == "myst" and not link["refdomain"] and not link["reftarget"].startswith("#"):
            path = app.env.relfn2path(link["reftarget"], page)[0]
            link.replace_self(nodes.reference("", "", *link.children, refuri=f"{REPOSITORY}/blob/main/{path}"))
    for badge in list(doctree.findall(lambda node: isinstance(node, nodes.image) and "colab-badge" in node["uri"])):
        binder = REPOSITORY.replace("https://github.com", "https://mybinder.org/v2/gh") + f"/main?labpath={page}.ipynb"
        places = {"Open in Colab": badge.parent["refuri"], "Open in Binder": binder}
        buttons = [nodes.reference("", name, refuri=uri, classes=["button"]) for name, uri in places.items()]
        badge.parent.parent.replace_self(nodes.paragraph("", "", *buttons))
    if page not in ("glossary", "api"):
        link_terms(doctree)


def link_terms(doctree: nodes.document) -> None:
    """The first use of each term on a page leads to the glossary."""
    terms = re.findall(r"^(\w.*)\n: ", (HERE / "glossary.md").read_text("utf-8"), re.M)
    missing = {term.lower() for term in terms}
    for text in list(doctree.findall(nodes.Text)):
        if not isinstance(text.parent, nodes.paragraph | nodes.strong):
            continue
        pieces = []
        for piece in re.split(rf"\b({'|'.join(terms)})\b", text, flags=re.I):
            if piece.lower() in missing:
                missing.remove(piece.lower())
                word = nodes.inline("", piece)
                pieces.append(addnodes.pending_xref("", word, refdomain="std", reftype="term", reftarget=piece))
            else:
                pieces.append(nodes.Text(piece))
        text.parent.replace(text, pieces)


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", write_api)
    app.connect("autodoc-process-signature", name_types)
    app.connect("autodoc-process-docstring", write_docstring)
    app.connect("doctree-read", complete)
