"""The front page: what this is, three doors, the course as cards, and the contents of the whole site."""

import json
import re
from pathlib import Path

from site_links import ROOT, SiteError

HERE = Path(__file__).resolve().parent
MOVING = "docs/assets/timesteps.webp"
INDEX = "docs/README.md"
"""The list of the documentation, whose groups are those of the site's contents."""


def page(course: list[str], answers: list[str], results: list[str], playground: bool) -> str:
    """The front page, as Markdown whose links are as in the clone.

    Args:
        course: paths of the chapters.
        answers: paths of the answers.
        results: paths of the pages of results.
        playground: whether there is the page in which a model runs.

    Raises:
        SiteError: the animation is missing.
    """
    if not (ROOT / MOVING).is_file():
        raise SiteError(f"{MOVING} is missing: draw it with `python docs/assets/animation.py`.")
    text = (HERE / "index.md").read_text(encoding="utf-8")
    doors = text.split("<!-- playground -->\n")
    text = "".join(part for i, part in enumerate(doors) if playground or i != 1)
    text = text.replace("<!-- course -->", "\n".join(map(card, course)))
    return text.replace("<!-- contents -->", contents(course, answers, results))


def title(path: str) -> str:
    """A chapter's title, the heading of its first cell that has one.

    Args:
        path: of the chapter.
    """
    for cell in json.loads((ROOT / path).read_text(encoding="utf-8"))["cells"]:
        found = re.search(r"^# (.+)$", "".join(cell["source"]), re.M)
        if found and cell["cell_type"] == "markdown":
            return found[1].strip()
    return Path(path).stem


def card(path: str) -> str:
    """A chapter as a card: its picture, its title and what the course's index says of it.

    Args:
        path: of the chapter.

    Raises:
        SiteError: the chapter has no picture.
    """
    name = Path(path).stem
    pictures = [f"notebooks/assets/{name[:2]}{ending}" for ending in (".svg", ".webp", ".png")]
    picture = next((one for one in pictures if (ROOT / one).is_file()), None)
    if picture is None:
        raise SiteError(f"chapter {name} has no picture, {pictures[-1]}: `python notebooks/index.py` makes it.")
    said = sentence(Path(path).name)
    options = f":img-top: {picture}\n:img-alt: {title(path)}\n:link: {path[:-6]}\n:link-type: doc"
    return f"::::{{grid-item-card}} {title(path)}\n{options}\n\n{said}\n::::\n"


def sentence(file: str) -> str:
    """What the course's index says of a chapter: the first plain paragraph under its heading, or nothing."""
    text = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    section = re.search(rf"^#+ \[[^\]]*\]\({re.escape(file)}\)\n(.*?)(?=^#|\Z)", text, re.M | re.S)
    blocks = [block.strip() for block in section[1].split("\n\n")] if section else []
    plain = [" ".join(block.split()) for block in blocks if block and block[0] not in "!|<["]
    return plain[0] if plain else ""


def contents(course: list[str], answers: list[str], results: list[str]) -> str:
    """The contents of the site in groups: those of the documentation's index, with the course and the reference.

    Args:
        course: paths of the chapters.
        answers: paths of the answers.
        results: paths of the pages of results.
    """
    (first, start), *others = groups()
    blocks = [toctree(first, start), toctree("The course", ["notebooks/README.md", *course])]
    if answers:
        blocks.append(toctree("Answers", answers))
    lists = [path for path in results if path.endswith(("/README.md", "/sheets.md"))]
    for name, pages in others:
        blocks.append(toctree(name, pages + (lists if "measured" in name.lower() else [])))
    placed = {page for _, pages in groups() for page in pages}
    rest = [page for page in sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")) if page not in placed]
    return "\n".join([*blocks, toctree("Reference", ["api/index.md", "README.md", *rest])])


def groups() -> list[tuple[str, list[str]]]:
    """The groups of the documentation's index: [(heading, pages)], without what is in another group of the site.

    Raises:
        SiteError: the index has no groups.
    """
    found: list[tuple[str, list[str]]] = []
    seen = {"notebooks/README.md", "README.md"}
    for line in (ROOT / INDEX).read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"(?:##+ (.*)|\*\*(.*)\*\*)", line.strip()):
            found.append((heading[1] or heading[2], []))
        for target in re.findall(r"\]\(([^)#\s]+\.md)[^)]*\)", line) if found else ():
            path = str((ROOT / "docs" / target).resolve().relative_to(ROOT))
            found[-1][1].extend([path] if path not in seen else [])
            seen.add(path)
    if not (found := [group for group in found if group[1]]):
        raise SiteError(f"{INDEX} has no groups of pages: give it headings with links under them.")
    return found


def named(page: str) -> str:
    """A name for the contents in place of the page's title, with what follows it; "" for the title."""
    if page.startswith("notebooks/answers/"):
        return f"Chapter {int(Path(page).name[:2])} <"
    return "The README <" if page == "README.md" else ""


def toctree(caption: str, pages: list[str]) -> str:
    """A group of the contents, which the sidebar shows."""
    listed = "\n".join(f"{named(page)}/{page.rsplit('.', 1)[0]}{'>' if named(page) else ''}" for page in pages)
    return f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```\n"
