"""`pusa-lab new-notebook`."""

import re

from pusa_lab.cli import clone
from pusa_lab.cli.terminal import say


def new_notebook(title: str) -> None:
    """Start a new chapter in a clone: notebooks/src/NN_name.py.

    Args:
        title: title of the chapter, such as "Frames that wait".

    Raises:
        ValueError: there is no clone, or the title has no letters.
    """
    from pusa_lab.files import check_writable, writing

    notebooks = clone.NOTEBOOKS
    template, chapters = notebooks / "chapter.template", sorted((notebooks / "src").glob("[0-9][0-9]_*.py"))
    if not template.is_file() or not chapters:
        raise ValueError(f"no chapters in {notebooks}: run this in the clone.")
    stem = re.sub(r"\W+", "_", title.lower()).strip("_")
    if "/" in title or "\\" in title:
        raise ValueError(f"the title {title!r} holds a slash, as a path does: give words such as 'Frames that wait'.")
    if not stem:
        raise ValueError(f"the title {title!r} has no letters: give one such as 'Frames that wait'.")
    number = int(chapters[-1].name[:2]) + 1
    path = notebooks / "src" / f"{number:02}_{stem}.py"
    words = {"number": str(number), "title": " ".join(title.split())}
    text = template.read_text()
    for name, value in words.items():
        text = text.replace("{" + name + "}", value)
    check_writable(path, "the chapter")
    with writing(path) as part:
        part.write_text(text, encoding="utf-8")
    say(f"{path}: write it, then build it with `python {notebooks / 'build.py'} {path.stem}`.")
