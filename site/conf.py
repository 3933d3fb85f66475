"""Settings of Sphinx for the site; `make site` writes the sources, runs it and looks at every link."""

from importlib.metadata import files
from itertools import chain
from pathlib import Path
from typing import Any

from site_links import SiteError
from sphinx.application import Sphinx
from sphinx.builders import Builder

HERE = Path(__file__).resolve().parent
MATHJAX = "tex-svg-full.js"
"""MathJax with its glyphs in one file: nothing else is loaded, from a folder or from the network."""
FURO = {"collapse": False, "titles_only": True, "maxdepth": -1, "includehidden": True}
"""How the theme asks for its contents."""


def mathjax() -> str:
    """Folder of MathJax, which a package on PyPI brings.

    Raises:
        SiteError: the package has no such file.
    """
    for file in files("sphinx-mathjax-offline") or ():
        if file.name == MATHJAX:
            return str(file.locate().parent)
    raise SiteError(f"the package sphinx-mathjax-offline has no {MATHJAX}: install it with -c constraints.txt.")


project = "pusa_lab"
html_title = "pusa_lab"
language = "en"
extensions = ["myst_nb", "sphinx_design", "sphinx_copybutton"]
html_theme = "furo"
templates_path = [str(HERE / "templates")]
html_static_path = [str(HERE / "assets")]
html_favicon = str(HERE / "assets" / "favicon.svg")
html_css_files = ["site.css"]
html_js_files: list[str] = []
html_show_search_summary = False  # Sphinx would fetch the pages, which no browser does from file://; see search.js
html_show_sphinx = html_show_copyright = html_copy_source = False
html_scaled_image_link = html_use_index = html_domain_indices = False
smartquotes = False
pygments_style, pygments_dark_style = "friendly", "monokai"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 60
add_module_names = False
toc_object_entries_show_parents = "hide"
html_sidebars = {
    "**": [
        *("sidebar/brand.html", "sidebar/search.html", "playground.html", "sidebar/scroll-start.html"),
        *("sidebar/navigation.html", "sidebar/scroll-end.html"),
    ]
}

myst_enable_extensions = ["colon_fence", "dollarmath", "amsmath", "fieldlist", "deflist", "html_image"]
myst_heading_anchors = 5
myst_dmath_double_inline = True
suppress_warnings = ["myst.header", "myst.xref_missing", "mystnb.unknown_mime_type", "misc.highlighting_failure"]

nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # they would come from the network
nb_render_markdown_format = "myst"
nb_code_prompt_show, nb_code_prompt_hide = "Show the code", "Hide the code"
nb_output_stderr = "remove"

mathjax_path = f"mathjax/{MATHJAX}"
mathjax3_config = {"options": {"enableMenu": False}, "svg": {"fontCache": "local", "scale": 0.92}}


def setup(app: Sphinx) -> None:
    """Spare what takes a quarter of the build, and gives the same page after page."""
    app.connect("write-started", lambda _, builder: (know_names(builder), keep_trees(builder)))


def know_names(builder: Builder) -> None:
    """Look names up that can be found, and no others: Sphinx goes through all objects for every int and Tensor.

    Args:
        builder: of the pages.
    """
    domain = builder.env.get_domain("py")
    ends = {name.split(".", n)[-1] for name in domain.objects for n in range(name.count(".") + 1)}
    find = domain.find_obj
    domain.find_obj = lambda env, module, inside, name, *more: (
        find(env, module, inside, name, *more) if name.removesuffix("()") in ends else []
    )


def keep_trees(builder: Builder) -> None:
    """Make the contents beside a page once for each folder, for pages that are not among them.

    Args:
        builder: of the pages.
    """
    make = builder._get_local_toctree
    among = {builder.config.root_doc, *chain.from_iterable(builder.env.toctree_includes.values())}
    kept: dict[tuple[str, str], str] = {}

    def tree(page: str, **how: Any) -> str:
        if page in among:
            return make(page, **how)
        key = page.rpartition("/")[0], repr(how)
        if key not in kept:
            kept[key] = make(page, **how)
        return kept[key]

    builder._get_local_toctree = tree
    for page in sorted(builder.env.found_docs - among):  # before Sphinx forks: each process writes only a few pages
        tree(page, **FURO)
