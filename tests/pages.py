"""The pages that a person reads: README.md, docs/*.md and the other README files, as tests look at them."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", *DOCS, ROOT / "benchmarks" / "README.md"]
ALL = [*PAGES, ROOT / "notebooks" / "README.md", ROOT / "small_models" / "results" / "paper" / "README.md"]


def name(path: Path) -> str:
    """A page's name in a test's name."""
    return str(path.relative_to(ROOT))


def text(page: str) -> str:
    """A page as it is written: text("docs/toy.md")."""
    return (ROOT / page).read_text()


def prose(page: str) -> str:
    """A page as one line, so that where its lines end does not matter."""
    return " ".join(text(page).split())


def blocks(page: str, language: str) -> list[str]:
    """The code of one language on a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", text(page), re.S | re.M)


def commands(page: str) -> list[str]:
    """The command lines on a page, without comments."""
    lines = [line for block in blocks(page, "bash") for line in block.replace("\\\n", " ").splitlines()]
    return [" ".join(shlex.split(line, comments=True, posix=False)) for line in lines if line.split("#")[0].strip()]


def without_code(page: str) -> str:
    """A page without its blocks of code, and with a word in place of each span of it."""
    return re.sub(r"`[^`]*`", "code", re.sub(r"^ *```.*?^ *```", "", text(page), flags=re.S | re.M))


def links(page: str) -> list[tuple[str, str]]:
    """(words, target) of every link and picture on a page that does not lead to the web; a picture's words are its alt.

    A picture that is itself the words of a link counts, as does the link.
    """
    plain = without_code(page)
    return [(a, b) for a, b in re.findall(r"!?\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)", plain) if "://" not in b]


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    lines = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.S | re.M)
    titles = re.findall(r"^#+ (.*)$", lines, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower().replace("`", "")).replace(" ", "-") for title in titles}
