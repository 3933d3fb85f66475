"""A result as a notebook shows it."""

import base64
import html
import io
import json

import mediapy
from matplotlib.figure import Figure

from pusa_lab.arguments import checked
from pusa_lab.media import enlarge
from pusa_lab.runs import Result
from pusa_lab.sentences import counted
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
    row = f'<div style="display:flex;gap:1em;align-items:center">{_video_html(result)}{_schedule_html(result)}</div>'
    folded = ""
    if result.request is not None:
        held = {k: v for k, v in result.request.as_dict().items() if k not in ("schedule", "matrix")}
        text = html.escape(json.dumps(held, indent=1))
        folded = f"<details><summary>request</summary><pre>{text}</pre></details>"
    return f"{row}<div>{what}, {result.seconds:.2f} s</div>{folded}"


def _video_html(result: Result) -> str:
    if not result.video.size:
        return "<div>latents, not decoded</div>"
    fps = result.request.fps if result.request else 8
    video = enlarge(result.video[0], max(1, 128 // result.video.shape[2]))
    data = base64.b64encode(mediapy.compress_video(video, fps=fps, qp=20)).decode()
    return f'<video controls loop autoplay muted src="data:video/mp4;base64,{data}"></video>'


def _schedule_html(result: Result) -> str:
    figure, out = Figure(figsize=(3, 2.2), layout="constrained"), io.BytesIO()
    schedule = result.schedule.cpu()
    plot_schedule(schedule[0] if schedule.ndim == 3 else schedule, figure.subplots())
    figure.savefig(out, format="png", dpi=80)
    return f'<img src="data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}">'
