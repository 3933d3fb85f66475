"""Chapter 5: what each timestep sampler shows the model."""

from svg import Drawing

LEFT, STEP = 128, 60
SAMPLERS = (
    ("control", (0.6, 0.6, 0.6, 0.6, 0.6), "one timestep for all frames, as the base"),
    ("specialist", (0.0, 0.6, 0.6, 0.6, 0.6), "frame 0 is known, always"),
    ("generalist", (0.3, 0.9, 0.1, 0.7, 0.5), "half: any frame, any level (Pusa's way)"),
    ("", (0.0, 0.4, 0.4, 0.4, 0.0), "half: a random set of known frames"),
)


def draw() -> Drawing:
    """Timestep vectors of three samplers, of which one is a mixture."""
    d = Drawing(760, 200)
    d.text(24, 32, "The timestep sampler decides what is practised", size=16, anchor="start", bold=True)
    for i, (name, tau, words) in enumerate(SAMPLERS):
        y = 48 + i * 36
        d.text(LEFT - 12, y + 20, name, anchor="end")
        for j, level in enumerate(tau):
            d.cell(LEFT + j * STEP + 11, y, 30, level)
        d.text(LEFT + 5 * STEP + 12, y + 20, words, anchor="start")
    return d
