"""Draw the diagrams of the chapters as SVG.

    python notebooks/diagrams/svg.py [name ...]

A diagram is a file beside this one with a function `draw() -> Drawing`; it is written to pusa_lab/diagrams/, where
`pusa_lab.notebook.diagram` finds it.
"""

import html
import importlib.util
import sys
from pathlib import Path

import matplotlib

from pusa_lab.files import writing

HERE = Path(__file__).resolve().parent
SVG = HERE.parents[1] / "pusa_lab" / "diagrams"
INK, SOFT, PAPER = "#1b1f24", "#8a8f98", "#fbfaf7"
BLUE, ORANGE, GREEN, PINK = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
"""Of Okabe and Ito, told apart with every kind of colour vision."""
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
HEAD = (
    'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" '
    'style="max-width:100%;height:auto"'
)


class Drawing:
    """An SVG with a light background, so that it can be read on dark pages too.

    Args:
        width: in pixels, at most 760.
        height: in pixels.
    """

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height, self.parts = width, height, [""]
        self.rect(0.5, 0.5, width - 1, height - 1, fill=PAPER, stroke="#d8d5cc", radius=8)

    def _add(self, tag: str, content: str = "", **attributes: object) -> None:
        words = "".join(f' {k.replace("_", "-")}="{_short(v)}"' for k, v in attributes.items() if v is not None)
        self.parts.append(f"<{tag}{words}>{content}</{tag}>" if content else f"<{tag}{words}/>")

    def rect(
        self, x: float, y: float, w: float, h: float, fill: str = "none", stroke: str = INK, radius: float = 4
    ) -> None:
        """A rectangle with its corner at (x, y)."""
        self._add("rect", x=x, y=y, width=w, height=h, rx=radius, fill=fill, stroke=stroke)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float = 14,
        anchor: str = "middle",
        bold: bool = False,
        fill: str = INK,
        italic: bool = False,
    ) -> None:
        """Words with their baseline at y."""
        style = {"font_weight": "600" if bold else None, "font_style": "italic" if italic else None}
        self._add("text", html.escape(words), x=x, y=y, font_size=size, text_anchor=anchor, fill=fill, **style)

    def line(
        self, x1: float, y1: float, x2: float, y2: float, stroke: str = INK, width: float = 1.5, dash: str | None = None
    ) -> None:
        """A straight line; dash such as "4 3"."""
        self._add("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=stroke, stroke_width=width, stroke_dasharray=dash)

    def arrow(self, x1: float, y1: float, x2: float, y2: float, stroke: str = INK, width: float = 1.5) -> None:
        """A straight arrow to (x2, y2)."""
        length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        ux, uy, tip = (x2 - x1) / length, (y2 - y1) / length, 4 + 3 * width
        bx, by = x2 - tip * ux, y2 - tip * uy
        self.line(x1, y1, bx, by, stroke, width)
        corners = [(x2, y2), (bx - uy * tip / 2.4, by + ux * tip / 2.4), (bx + uy * tip / 2.4, by - ux * tip / 2.4)]
        self._add("polygon", points=" ".join(f"{_short(x)},{_short(y)}" for x, y in corners), fill=stroke)

    def path(self, d: str, stroke: str = INK, fill: str = "none", width: float = 1.5, dash: str | None = None) -> None:
        """Any path of SVG."""
        self._add("path", d=d, stroke=stroke, fill=fill, stroke_width=width, stroke_dasharray=dash)

    def circle(self, x: float, y: float, r: float, fill: str = "none", stroke: str = INK) -> None:
        """A circle around (x, y)."""
        self._add("circle", cx=x, cy=y, r=r, fill=fill, stroke=stroke)

    def cell(self, x: float, y: float, size: float, level: float, height: float | None = None) -> None:
        """A cell of a scheduling matrix, coloured as the library's plots by its noise level, 0 to 1."""
        self.rect(x, y, size, size if height is None else height, fill=colour(level), stroke=PAPER, radius=2)

    def svg(self) -> str:
        """The file's text."""
        head = HEAD.format(w=_short(self.width), h=_short(self.height))
        return f'<svg {head} font-family="{FONT}">' + "\n".join(self.parts) + "\n</svg>\n"


def colour(level: float) -> str:
    """The colour of a noise level, 0 to 1, in the library's plots."""
    return matplotlib.colors.to_hex(matplotlib.colormaps["cividis"](float(level)))


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else html.escape(str(value))


def names() -> list[str]:
    """Every diagram there is."""
    return sorted(path.stem for path in HERE.glob("[0-9][0-9]_*.py"))


def make(name: str) -> str:
    """The SVG of a diagram."""
    sys.path.insert(0, str(HERE))
    try:
        spec = importlib.util.spec_from_file_location(f"diagram_{name}", HERE / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(HERE))
    text: str = module.draw().svg()
    return text


def main(wanted: list[str]) -> None:
    """Write the named diagrams, or all."""
    if unknown := sorted(set(wanted) - set(names())):
        raise ValueError(f"there is no diagram {unknown[0]!r}: choose of {', '.join(names())}.")
    for name in wanted or names():
        with writing(SVG / f"{name}.svg") as part:
            part.write_text(make(name), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
