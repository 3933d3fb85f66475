"""`pusa-lab demo`."""

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from pusa_lab.cli.tasks import look_at_clip
from pusa_lab.cli.terminal import say

TOUR = Path(__file__).parents[1] / "tour"
"""Chapter 0 with its picture and clip: in the clone links to notebooks/, in a wheel the files."""
MADE = ("text_to_video", "image_to_video", "start_end", "extension", "pyramid")
"""Names of the videos that the demo makes."""

NARROW = "<style>.jp-RenderedSVG img, .jp-RenderedSVG svg { max-width: 100%; height: auto }</style>"
"""On a phone, diagrams shrink as figures do."""


def demo(
    *,
    image: str | None = None,
    video: str | None = None,
    prompt: str | None = None,
    out: Path = Path("outputs/demo"),
    fast: bool = False,
) -> None:
    """Run the quick tour on a picture and a clip.

    Args:
        image: picture to set in motion (default: the tour's own).
        video: clip to continue (default: the tour's own).
        prompt: caption (default: that of the tour's own picture).
        out: folder for the page, the videos and the table.
        fast: take fewer steps and clips.

    Raises:
        ValueError: a file cannot be read, or the tour stops.
    """
    import papermill
    from nbconvert import HTMLExporter

    from pusa_lab.data import read_picture
    from pusa_lab.files import writing

    notebook = TOUR / "00_quick_tour.ipynb"
    others: list[str] | None = [] if image or prompt else None  # the tour's other sentences are about its own picture
    image = image or str(TOUR / "assets" / "still.png")
    video = video or str(TOUR / "assets" / "clip.mp4")
    _check(out)
    read_picture(image)
    look_at_clip("--video", video)
    with tempfile.TemporaryDirectory() as part:
        given = {"IMAGE": image, "VIDEO": video, "PROMPT": prompt, "OTHERS": others, "FAST": fast}
        parameters = {
            **{name: _absolute(value) for name, value in given.items() if value is not None},
            "OUT": str(Path(part).resolve()),
        }
        if missing := sorted(set(parameters) - set(papermill.inspect_notebook(str(notebook)))):
            raise ValueError(f"{notebook} has no parameters {', '.join(missing)}: restore the notebook.")
        done = Path(part) / "quick_tour.ipynb"
        try:
            options = {
                "kernel_name": "python3",
                "cwd": TOUR,
                "extra_arguments": ["--IPKernelApp.log_level=40"],
            }
            papermill.execute_notebook(str(notebook), str(done), parameters, **options)
        except papermill.PapermillExecutionError as error:
            reason = re.sub(r"^[\w.]+: ", "", str(error.evalue))  # without the name of the function it called
            raise ValueError(f"the demo stopped: {reason}") from error
        page, _ = HTMLExporter(exclude_input_prompt=True).from_notebook_node(_alone(done))
        (Path(part) / "index.html").write_text(page.replace("</head>", f"{NARROW}</head>", 1))
        made = sorted(Path(part).iterdir())
        for path in made:
            with writing(out / path.name) as copy:
                shutil.copy(path, copy)
    say(*(f"{out / path.name}" for path in made), f"Open {out / 'index.html'} in a browser.")


def _alone(path: Path) -> Any:
    """The chapter without its links to other chapters and to files of the project, which do not lie beside the page."""
    import nbformat

    chapter = nbformat.read(path, as_version=4)
    chapter.cells = [cell for cell in chapter.cells if "navigation" not in cell.metadata.get("tags", [])]
    for cell in chapter.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"(?<!!)\[([^\]]+)\]\((?!http|#)[^)]+\)", r"\1", cell.source)
    return chapter


def _check(out: Path) -> None:
    """Refuse a folder that cannot take the results, before they are computed."""
    from pusa_lab.files import check_folder

    check_folder(out, "--out")
    for name in ("index.html", "metrics.csv", "quick_tour.ipynb", *(f"{task}.mp4" for task in MADE)):
        if (out / name).is_dir():
            raise ValueError(f"--out {out} has a folder {name}, where a result must be written: give another folder.")


def _absolute(value: Any) -> Any:
    return str(Path(value).resolve()) if isinstance(value, str) and Path(value).is_file() else value
