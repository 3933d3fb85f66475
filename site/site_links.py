"""Where the links of the clone's pages lead on the site, and whether every link of the built site leads somewhere."""

import re
from collections.abc import Iterator
from functools import cache, partial
from html.parser import HTMLParser
from os.path import normpath, relpath
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("pusa_lab", "small_models")
SHOWN = (".py", ".sh", ".yaml", ".toml", ".txt", ".css", ".js", "")
"""Endings of files that get a page on which they are read; other files are opened as they are."""
CODE = re.compile(r"(^ {0,3}(`{3,}|~{3,}).*?^ {0,3}\2|(`+)(?!`).+?(?<!`)\3(?!`))", re.S | re.M)
TARGETS = re.compile(r"(?P<before>\]\(<?|<(?:a|img|video|source)\b[^>]*?\b(?:src|href|poster)=\")(?P<to>[^)\s\">]+)")
FOREIGN_PICTURE = re.compile(r"!\[([^\]]*)\]\(https?:[^)]*\)|<img\b[^>]*\bsrc=\"https?:[^>]*>")
ELSEWHERE = re.compile(r"[a-z][a-z+.-]*:|//")
LOADING = ("stylesheet", "icon", "shortcut icon", "preload", "prefetch", "modulepreload")
"""What a link in the head may be so that a browser loads it."""


class SiteError(Exception):
    """What keeps the site from being built, in a sentence."""


def module_of(path: str) -> str | None:
    """The module that a file or folder of the packages is: pusa_lab/wan/lora/__init__.py -> pusa_lab.wan.lora."""
    parts = path.removesuffix(".py").removesuffix("/__init__").split("/")
    known = (ROOT / path).is_file() if path.endswith(".py") else (ROOT / path / "__init__.py").is_file()
    return ".".join(parts) if known and parts[0] in PACKAGES else None


class Links:
    """Links of pages, turned to where things lie on the site; the files that they need are gathered on the way."""

    def __init__(self, pages: set[str], made: set[str]) -> None:
        """`pages` are written from files of the clone with the same names, `made` are the site's own."""
        self.pages, self.made = pages, made
        self.shown: set[str] = set()
        self.listed: set[str] = set()
        self.copied: set[str] = set()

    def rewritten(self, text: str, page: str) -> str:
        """A page's Markdown with every link turned; code stays as it is.

        Args:
            text: Markdown, with HTML in it.
            page: path of the page in the clone.
        """
        parts, at = [], 0
        for code in CODE.finditer(text):
            parts += [self._prose(text[at : code.start()], page), code[0]]
            at = code.end()
        return "".join([*parts, self._prose(text[at:], page)])

    def _prose(self, text: str, page: str) -> str:
        text = FOREIGN_PICTURE.sub(lambda found: found[1] or "picture", text)
        return TARGETS.sub(partial(self._turned, page), text)

    def _turned(self, page: str, found: re.Match[str]) -> str:
        target, tag = found["to"], found["before"].startswith("<")
        if target.startswith("#") or ELSEWHERE.match(target):
            return found[0]
        path, _, anchor = target.partition("#")
        place = normpath(Path(page).parent / unquote(path))
        new, anchor = self._place(place, anchor, f"{page} links to {target}")
        if tag:
            new = re.sub(r"\.(md|ipynb)$", ".html", new)
        return found["before"] + relpath(new, Path(page).parent) + (f"#{anchor}" if anchor else "")

    def _place(self, place: str, anchor: str, told: str) -> tuple[str, str]:
        """The path on the site of a path in the clone, and the anchor there."""
        if place in self.pages | self.made:
            return place, anchor
        table = re.sub(r"^(small_models/results/paper/.*)\.json$", r"\1.md", place)
        if table != place and table in self.made:  # prompt by prompt the tables are too large for the site
            return table, ""
        if not (ROOT / place).exists() or place.startswith(".."):
            raise SiteError(f"{told}, which is not in the clone: mend the link, or add the file.")
        if module := module_of(place):
            name = re.fullmatch(r"(?!L\d)[A-Za-z_][\w.]*", anchor)  # not a line's number
            return f"api/{module}.md", f"{module}.{anchor}" if name else ""
        if (ROOT / place).is_dir():
            if f"{place}/README.md" in self.pages | self.made:
                return f"{place}/README.md", anchor
            self.listed.add(place)
            return f"files/{place}.md", ""
        if Path(place).suffix in SHOWN:
            self.shown.add(place)
            return f"files/{place}.md", ""
        self.copied.add(place)
        return place, ""


PLAIN = re.compile(r'</?(?:span|li|ul|p|td|tr|code|em|div|dt|dd)(?: class="[^"]*")?>|</a>')
"""Tags of prose and code that close, or have a class at most: most of all, and none is an anchor or a link."""


class _Page(HTMLParser):
    """The anchors of a page and what it links to or loads."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value is not None}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") in LOADING:
            self.loads.append(given["href"])
        elif tag in ("img", "script", "video", "audio", "source", "iframe", "embed", "track"):
            self.loads += [given[name] for name in ("src", "poster") if name in given]


def read_html(path: Path) -> _Page:
    """A page of the site, parsed.

    Args:
        path: of an HTML file.
    """
    page = _Page()
    page.feed(PLAIN.sub("", path.read_text(encoding="utf-8")))
    return page


def faults(site: Path) -> Iterator[str]:
    """A sentence for every link that leads nowhere, and for everything that a page would load from the network.

    Args:
        site: folder of the built site.
    """
    found, place = {path: read_html(path) for path in sorted(site.rglob("*.html"))}, cache(_place)
    for path, page in found.items():
        name = path.relative_to(site)
        for target in sorted({*page.links, *page.loads}):
            if ELSEWHERE.match(target):
                if target in page.loads and not target.startswith(("data:", "blob:")):
                    yield f"{name} loads {target[:90]} from the network: keep it in the site, or leave it out."
                continue
            to, _, anchor = target.partition("#")
            there = place(path.parent, to) if to else path
            if there is None:
                yield f"{name} links to {target}, and there is no such file in the site."
            elif anchor and there in found and unquote(anchor) not in found[there].anchors:
                yield f"{name} links to {target}, and {there.name} has no such anchor."


def _place(folder: Path, to: str) -> Path | None:
    """The file to which a relative address leads, if there is one."""
    place = Path(normpath(folder / unquote(to.partition("?")[0])))
    return place if place.is_file() else None
