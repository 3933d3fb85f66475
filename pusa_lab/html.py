"""Results, learned schedules and LoRA reports as a notebook shows them."""

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import mediapy
from matplotlib.figure import Figure

from pusa_lab.arguments import checked
from pusa_lab.media import PLAYS, enlarge
from pusa_lab.runs import Result
from pusa_lab.sentences import counted
from pusa_lab.types import Schedule, Schedules
from pusa_lab.viz.schedules import plot_schedule


@checked
def result_html(result: Result) -> str:
    """A result as a notebook shows it: the first video beside its schedule, the request folded.

    Args:
        result: of `generate`.
    """
    what = (
        f"{html.escape(result.task)}, {counted(result.schedule.shape[-2] - 1, 'row')}, {counted(result.calls, 'call')}"
    )
    what += "" if result.share == 1 else f", {result.share:.0%} of the frames computed"
    both = _video_html(result) + schedule_html(result.schedule)
    row = f'<div style="display:flex;flex-wrap:wrap;gap:1em;align-items:center">{both}</div>'
    folded = ""
    if result.request is not None:
        held = {k: v for k, v in result.request.as_dict().items() if k not in ("schedule", "matrix")}
        text = html.escape(json.dumps(held, indent=1))
        folded = f"<details><summary>request</summary><pre>{text}</pre></details>"
    return f"{row}<div>{what}, {result.seconds:.2f} s</div>{folded}"


@checked
def schedule_html(schedule: Schedule | Schedules, scores: Mapping[str, Sequence[float | int]] | None = None) -> str:
    """A heat map of a schedule as an image; of one for each sample, the first.

    Args:
        schedule: noise levels (rows, f) or (b, rows, f).
        scores: name -> a curve drawn beside it, such as the best score of every generation of a search.
    """
    figure, out = Figure(figsize=(4 + 3 * bool(scores), 2.4), layout="constrained"), io.BytesIO()
    axes = figure.subplots(1, 1 + bool(scores), squeeze=False)[0]
    one = schedule.detach().cpu()
    plot_schedule(one[0] if one.ndim == 3 else one, axes[0])
    for name, curve in (scores or {}).items():
        axes[1].plot(range(len(curve)), curve, "o-", label=name)
        axes[1].set(xlabel="generation", ylabel="score")
        axes[1].legend(fontsize=8)
    figure.savefig(out, format="png", dpi=80)
    words = f"schedule of {counted(one.shape[-2], 'row')} and {counted(one.shape[-1], 'frame')}"
    return f'<img alt="{words}" src="data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}">'


@checked
def table_html(title: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table with a line above it.

    Args:
        title: the line.
        head: names of the columns.
        rows: cells, as many as columns.
    """
    cells = lambda tag, row: "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in row)  # noqa: E731
    lines = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<div>{html.escape(title)}</div><table><tr>{cells('th', head)}</tr>{lines}</table>"


def _video_html(result: Result) -> str:
    if not result.video.size:
        return "<div>latents, not decoded</div>"
    fps = result.request.fps if result.request else 8
    video = enlarge(result.video[0], max(1, 192 // result.video.shape[2]))
    data = base64.b64encode(mediapy.compress_video(video, fps=fps, qp=20)).decode()
    return f'<video controls loop muted onloadedmetadata="{PLAYS}" src="data:video/mp4;base64,{data}"></video>'
