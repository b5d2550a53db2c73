"""Run the course from top to bottom and write its outputs into the notebooks: `make notebooks`.

    python tools/make_notebooks.py [NAME.ipynb ...]

Every notebook runs in a new kernel, with the profile of NSTLAB_PROFILE (by default `cpu`). Widget state is removed: a
page without a kernel cannot use it. Execution counts stay, because nbval compares no outputs without them.
"""

import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"
LARGEST_FIGURE, LARGEST_NOTEBOOK = 150_000, 3_000_000  # bytes


def execute(path: Path) -> None:
    """Run one notebook and write it back, unless a cell fails, writes to stderr or makes a figure too large."""
    notebook = nbformat.read(path, as_version=4)
    began = time.perf_counter()
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in map(without_widget, cell.outputs) if output is not None]
    written = nbformat.writes(notebook)
    if len(written) > LARGEST_NOTEBOOK:
        sys.exit(f"{path.name}: {len(written):,} bytes, more than {LARGEST_NOTEBOOK:,}; make its figures smaller")
    path.write_text(written + "\n", encoding="utf-8")
    print(f"{path.name}: {time.perf_counter() - began:.0f} s, {len(written) / 1e3:.0f} kB")


def without_widget(output: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    """The output, or None if it is the view of a widget. Ends the program for a bad output."""
    if output.output_type == "stream" and output.name == "stderr":
        sys.exit(f"a cell wrote to stderr: {output.text}")
    data = output.get("data", {})
    if WIDGET in data:
        return None
    for kind, content in data.items():  # base64 takes 4 characters for 3 bytes; 2000 for the HTML around it
        if kind in ("text/html", "image/png", "image/jpeg") and len(content) > LARGEST_FIGURE * 4 / 3 + 2000:
            sys.exit(f"a figure of {len(content):,} characters is larger than {LARGEST_FIGURE:,} bytes")
    return output


if __name__ == "__main__":
    os.environ.setdefault("NSTLAB_PROFILE", "cpu")
    for name in sys.argv[1:] or sorted(p.name for p in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")):
        execute(NOTEBOOKS / Path(name).name)
