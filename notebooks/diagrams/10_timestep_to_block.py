"""From one timestep per frame to six vectors per frame to a block of Wan2.1-14B."""

from svg import BLUE, GREEN, INK, ORANGE, PAPER, SOFT, Drawing

from pusa_lab.wan.configs import WAN_CONFIGS

WAN = WAN_CONFIGS["wan2.1-14b"]
FRAMES, CHOSEN = 21, 3
TOKENS = WAN.tokens((480, 832), 81)
WIDE = f"{WAN.dim:,}"
TABLE = f"{WAN.num_layers} blocks"
SIX = (("shift", BLUE), ("scale", ORANGE), ("gate", GREEN))


def draw() -> Drawing:
    """The path of a timestep on the left, the block that it steers on the right."""
    d = Drawing(760, 460)
    d.text(186, 30, f"one timestep per frame: tau, (1, {FRAMES})", bold=True)
    for frame in range(FRAMES):
        d.cell(27 + 15 * frame, 42, 14, 0.0 if frame == 0 else 0.75)
    d.rect(26 + 15 * CHOSEN, 41, 16, 16, stroke=ORANGE, radius=2)
    x = 34 + 15 * CHOSEN
    d.path(f"M {x} 60 V 74 H 186 V 82", stroke=SOFT)
    steps = (f"sinusoids: {WAN.freq_dim} numbers", f"time_embedder: {WAN.freq_dim} to {WIDE} to {WIDE}")
    for row, words in enumerate((*steps, f"time_proj: {WIDE} to 6 x {WIDE}")):
        y = 92 + 54 * row
        d.arrow(186, y - 14, 186, y, stroke=SOFT)
        d.rect(30, y, 312, 34, fill="#e8eef3", stroke=INK)
        d.text(186, y + 22, words)
    d.arrow(186, 236, 186, 256, stroke=SOFT)
    _six(d)
    _block(d)
    return d


def _six(d: Drawing) -> None:
    d.text(186, 276, f"six vectors per frame: (1, {FRAMES}, 6, {WIDE})", bold=True)
    for number in range(6):
        name, colour = SIX[number % 3]
        x = 42 + 50 * number
        d.rect(x, 290, 38, 52, fill=colour, stroke="none")
        d.text(x + 19, 322, str(number + 1), size=16, bold=True, fill=PAPER)
        d.text(x + 19, 360, name, size=13)
    d.text(111, 384, "for self-attention", size=13)
    d.text(261, 384, "for feed-forward", size=13)
    d.path("M 42 366 v 4 h 138 v -4", stroke=SOFT)
    d.path("M 192 366 v 4 h 138 v -4", stroke=SOFT)
    d.text(186, 414, f"Each of the {TABLE} adds", size=13)
    d.text(186, 433, f"a table of its own, (6, {WIDE}).", size=13)


def _block(d: Drawing) -> None:
    left = 400
    d.text(left + 170, 30, f"one of {TABLE}", bold=True)
    d.rect(left, 42, 340, 402, fill="#ffffff", stroke=SOFT, radius=8)
    d.text(left + 170, 66, f"frame {CHOSEN}: {TOKENS // FRAMES:,} tokens of width {WIDE}")
    rows = (
        ("norm · (1 + scale) + shift", (1, 0), None),
        ("self-attention", (), f"over all {TOKENS:,} tokens of all frames"),
        ("times gate, add", (2,), None),
        ("norm, cross-attention, add", (), "to the prompt: no timestep here"),
        ("norm · (1 + scale) + shift", (4, 3), None),
        ("feed-forward", (), f"{WIDE} to {WAN.ffn_dim:,} to {WIDE}, each token alone"),
        ("times gate, add", (5,), None),
    )
    y = 82
    for words, used, below in rows:
        high = 46 if below else 30
        d.arrow(left + 170, y - 8, left + 170, y + 6, stroke=SOFT)
        y += 6
        d.rect(left + 20, y, 300, high, fill="#e8eef3" if below else "#ffffff", stroke=INK)
        d.text(left + (170 if below else 124), y + 20, words)
        if below:
            d.text(left + 170, y + 38, below, size=13)
        for place, number in enumerate(used):
            d.circle(left + 296 - 30 * place, y + 15, 11, fill=SIX[number % 3][1], stroke="none")
            d.text(left + 296 - 30 * place, y + 20, str(number + 1), size=13, bold=True, fill=PAPER)
        y += high + 8
