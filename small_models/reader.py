"""Read the world back from pixels: where is the object of a given colour?"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pusa_lab.types import Clip
from small_models.world import COLOURS


def locate(
    clip: Clip, colour: Int[Tensor, "b objects"]
) -> tuple[Float[Tensor, "b pf objects 2"], Float[Tensor, "b pf objects"]]:
    """Centre and visible area of the object of each colour, frame by frame.

    Every pixel is explained as (1 - a) grey + a ink for the ink that leaves the smallest residual. It counts where
    a > 1/4 and the residual is below 0.03 (squared, pixels in [0, 1]), so noise is not mistaken for objects.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1]; each clip's grey is the median of its pixels.
        colour: indices into the world's colours, one for each object sought.

    Returns:
        Centres (x, y) in units of the picture's side, NaN where nothing of that colour is seen, and the area as a
        share of the picture.
    """
    pixels = (clip + 1) / 2
    grey = pixels.flatten(2).median(dim=2).values.mean(dim=1).view(-1, 1, 1, 1, 1, 1)
    ink = torch.tensor(list(COLOURS.values())).to(pixels).view(1, -1, 3, 1, 1, 1) - grey
    offset = pixels[:, None] - grey
    a = ((offset * ink).sum(2) / ink.square().sum(2)).clamp(0, 1)
    residual = (offset - a[:, :, None] * ink).square().sum(2)
    a = a * (residual == residual.amin(1, keepdim=True)) * (residual < 0.03) * (a > 0.25)
    a = a[torch.arange(len(a))[:, None], colour].transpose(1, 2)

    h, w = a.shape[-2:]
    area = a.sum((-1, -2))
    x = (a.sum(-2) * ((torch.arange(w, device=a.device) + 0.5) / w)).sum(-1) / area
    y = (a.sum(-1) * ((torch.arange(h, device=a.device) + 0.5) / h)).sum(-1) / area
    return torch.stack([x, y], dim=-1), area / (h * w)
