"""Build the site into outputs/site: the chapters with their outputs, docs, the API reference, results and search.

    python site/make_site.py

Nothing is executed and nothing is fetched. The sources that Sphinx reads are written to outputs/site-sources.
"""

import gc
import importlib.util
import json
import pickle
import re
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT, SOURCES, READ = (ROOT / "outputs" / name for name in ("site", "site-sources", "site-doctrees"))
NEEDED = (
    *("sphinx", "myst_nb", "furo", "sphinx_design", "sphinx_copybutton"),
    *("sphinx-mathjax-offline", "griffe", "Stemmer"),
)
INSTALL = 'python -m pip install -c constraints.txt -e ".[site]"'
HOME = '<p><a class="home" href="../index.html">← The course and everything else</a></p>'
"""In the site, the playground leads back to the front page."""
OWN = ("*.py", "*.md", "assets/*", "templates/*", "playground/**/*")
"""Files in site/ that the site is made from, beside the clone's."""
MADE_FROM = "made-from.txt"
"""In the built site: the digest of what it is made from."""
PICTURE = re.compile(r'(="[^"]*\b_images/[^"]+\.png)(?=")')
MOST_BYTES = 40 * 2**20
MOST_TEXT = 8_000
"""Characters of a page that the search can show."""


def main() -> int:
    """Build the site; 0 if it is whole."""
    try:
        sys.stdout.write(build() + "\n")
    except SystemExit:
        raise
    except Exception as error:
        if type(error).__name__ != "SiteError":
            raise
        sys.stderr.write(f"make site: {error}\n")
        return 1
    return 0


def build() -> str:
    """Build the site, and say where it is and how large.

    Raises:
        SiteError: something that it needs is missing, or a link leads nowhere.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise SystemExit(f"make site: {missing[0]} is not installed: run `{INSTALL}` in the clone, then again.")
    import site_pages

    began = time.monotonic()
    playground = ROOT / "site" / "playground"
    runs = ready(playground)
    texts, copied = site_pages.sources(runs)
    made_from = digest(texts, copied)
    if (OUT / MADE_FROM).is_file() and (OUT / MADE_FROM).read_text() == made_from:
        return f"{OUT / 'index.html'} is up to date."
    site_pages.write(SOURCES, texts, copied)
    new = OUT.with_name("site-new")
    shutil.rmtree(new, ignore_errors=True)
    sphinx(new, runs)
    if runs:
        shutil.copytree(playground, new / "playground", dirs_exist_ok=True)
        page = new / "playground" / "index.html"
        page.write_text(page.read_text(encoding="utf-8").replace("<h1>", f"{HOME}<h1>", 1), encoding="utf-8")
    pack(new)
    size = checked(new)
    (new / MADE_FROM).write_text(made_from)
    shutil.rmtree(OUT, ignore_errors=True)
    new.rename(OUT)
    took = time.monotonic() - began
    return f"{OUT / 'index.html'}: {len(texts)} pages, {size / 2**20:.1f} MiB, {took:.0f} s"


def ready(playground: Path) -> bool:
    """Whether the page in which a model runs was built, by `make playground`; without it the site has no such door."""
    from site_links import ELSEWHERE, read_html

    page = playground / "index.html"
    loads = read_html(page).loads if page.is_file() else ["index.html"]
    return all((playground / one).is_file() for one in loads if not ELSEWHERE.match(one))


def digest(texts: dict[str, str], copied: list[str]) -> str:
    """Of everything that the site is made from."""
    from pusa_lab.files import content_digest

    own = [path for one in OWN for path in sorted((ROOT / "site").glob(one)) if path.is_file()]
    files = [*own, *(ROOT / name for name in copied)]
    parts = [json.dumps(texts, sort_keys=True), *(f"{path} {content_digest(path.read_bytes())}" for path in files)]
    return content_digest("\n".join(parts))


def pack(site: Path) -> None:
    """Keep the pictures of pages as WebP, pixel for pixel the same in two thirds of the space.

    Args:
        site: folder of the built site.
    """
    from PIL import Image

    for path in sorted((site / "_images").glob("*.png")):
        with Image.open(path) as picture:
            picture.save(f"{path}.webp", lossless=True, exact=True, quality=50, method=2)
        path.unlink()
    for path in site.rglob("*.html"):
        path.write_text(PICTURE.sub(r"\1.webp", path.read_text(encoding="utf-8")), encoding="utf-8")


def checked(site: Path) -> int:
    """Bytes of a built site that is whole and small enough.

    Raises:
        SiteError: a link leads nowhere, a page would load from the network, or it is too large.
    """
    from site_links import SiteError, faults

    if wrong := list(faults(site)):
        count = f"{len(wrong)} links are" if len(wrong) > 1 else "1 link is"
        raise SiteError(f"{count} wrong.\n" + "\n".join(wrong))
    sizes: Counter[str] = Counter()
    for path in (path for path in site.rglob("*") if path.is_file()):
        sizes[path.relative_to(site).parts[0]] += path.stat().st_size
    if (size := sizes.total()) > MOST_BYTES:
        largest = ", ".join(f"{name} {bytes_ / 2**20:.1f}" for name, bytes_ in sizes.most_common(3))
        raise SiteError(f"the site has {size / 2**20:.1f} MiB and may have {MOST_BYTES >> 20}: shrink {largest}.")
    return size


def sphinx(out: Path, playground: bool) -> None:
    """Run Sphinx on the sources, and write beside its index of words the texts that a search shows."""
    from site_links import SiteError
    from sphinx.cmd.build import main as run

    words = ["-q", "-b", "html", "-c", str(Path(__file__).parent), "-d", str(READ)]
    if run([*words, "-A", f"playground={'1' if playground else ''}", str(SOURCES), str(out)]):
        raise SiteError("Sphinx did not finish: see what it says above.")
    from conf import MATHJAX, mathjax

    (out / "_static" / "mathjax").mkdir()
    shutil.copy2(Path(mathjax()) / MATHJAX, out / "_static" / "mathjax")
    (out / "_static" / "texts.js").write_text(f"window.PAGE_TEXTS = {json.dumps(texts(), ensure_ascii=False)};\n")


def texts() -> dict[str, str]:
    """Name of a page -> its words in a line, as Sphinx read them."""
    from docutils.nodes import raw
    from sphinx.addnodes import pending_xref_condition

    found = {}
    for path in sorted(READ.rglob("*.doctree")):
        page = pickle.loads(path.read_bytes())
        long = [node for node in page.findall(pending_xref_condition) if node["condition"] == "*"]  # a name's long form
        for node in (*long, *page.findall(raw)):
            node.parent.remove(node)
        found[str(path.relative_to(READ).with_suffix(""))] = " ".join(page.astext().split())[:MOST_TEXT]
    return found


if __name__ == "__main__":
    gc.disable()  # the trees of all pages stay to the end: looking through them for garbage took a third of the time
    sys.modules.setdefault("rfc3987_syntax", None)  # grammars of web addresses, by which no notebook is checked
    sys.exit(main())
