"""Execute notebooks: from each text source, write its .ipynb without traces of the machine.

python notebooks/build.py                         # all, full profile, next to their sources
python notebooks/build.py 05_tuning --profile fast --out FOLDER

Profiles and conventions: README.md.
"""

from __future__ import annotations

import argparse
import base64
import os
import time
from io import BytesIO
from pathlib import Path

import jupytext
import nbformat
import papermill
from PIL import Image

HERE = Path(__file__).parent
WIDGET = "application/vnd.jupyter.widget-view+json"


def build(source: Path, folder: Path, profile: str) -> Path:
    """Execute a notebook.

    Args:
        source: its text source.
        folder: folder for the executed notebook, which is named like the source.
        profile: ``"full"``, the default in the source, or ``"fast"``.

    Returns:
        Path of the executed notebook.

    Raises:
        papermill.PapermillExecutionError: a cell failed.
    """
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    executed = papermill.execute_notebook(
        jupytext.read(source),
        None,
        parameters={} if profile == "full" else {"profile": profile},
        cwd=folder,
        progress_bar=False,
    )
    target = folder / f"{source.stem}.ipynb"
    nbformat.write(stripped(executed), target)
    return target


def stripped(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Remove everything from an executed notebook that differs between runs for no reason."""
    kernel = notebook.metadata.kernelspec
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        tags = cell.metadata.get("tags")
        cell.metadata = {"tags": tags} if tags else {}
        for output in cell.get("outputs", ()):
            if output.get("data", {}).pop(WIDGET, None) is not None:
                # Without a kernel, an error message would be shown in place of the widget.
                output.data["text/plain"] = "(An interactive widget: run the notebook to use it.)"
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = with_palette(output.data["image/png"])
    return notebook


def with_palette(png: str) -> str:
    """Reduce a base64 image to 256 colors: a third of the size, but color bars show steps."""
    image, file = Image.open(BytesIO(base64.b64decode(png))), BytesIO()
    image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, "png", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def main() -> None:
    """Execute the named notebooks, or all of them."""
    known = sorted(path.stem for path in HERE.glob("[0-9]*.py"))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(known)}")
    parser.add_argument("--profile", choices=("full", "fast"), default="full")
    parser.add_argument(
        "--out", type=Path, default=HERE, help="directory for the executed notebooks"
    )
    chosen = parser.parse_args()
    unknown = sorted(set(chosen.names) - set(known))
    if unknown:
        parser.error(f"expected one of ({', '.join(known)}), received {', '.join(unknown)}")
    if chosen.profile == "fast" and chosen.out.resolve() == HERE.resolve():
        parser.error(
            "expected --out with --profile fast: the committed notebooks use the full profile"
        )
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name in chosen.names or known:
        started = time.perf_counter()
        target = build(HERE / f"{name}.py", chosen.out, chosen.profile)
        print(f"{target}: {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
