"""The other way to image-to-video, Wan's own: one timestep for all frames, and the picture as further input.

The picture enters twice, as in Wan2.1-I2V: beside the noise, as channels (a mask of 4 and the picture's latent at
frame 0), and in every block, as tokens that cross-attention reads beside the caption. Here the tokens are patches of
the picture's latent; Wan takes them from CLIP.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.resting import Kept
from pusa_lab.types import Tau, Video
from small_models.models.toy import ToyModel

MASK = 4
"""Channels that say which frames are given: Wan has one for each pixel frame of a latent frame."""
NEW_LAYERS = r"image_embedder|add_k_proj|add_v_proj|norm_added_k|patch_embedding"
"""What the picture passes through; trained whole."""


@checked
class ImageToVideo(ToyModel):
    """A toy whose denoiser is also given the latent of the first frame, by `tasks.image_to_video`.

    Args:
        preset: sizes; its transformer takes 2 c + MASK channels and image tokens.
        codec: of the latents.
    """

    picture_input = "first"
    """Argument of the call that is the latent of the picture."""

    @staticmethod
    def inward(channels: int) -> int:
        """Channels that the transformer takes for so many of the latents: with the picture's, and the mask."""
        return 2 * channels + MASK

    @classmethod
    def from_base(cls, base: ToyModel) -> "ImageToVideo":
        """A text-to-video toy with room for a picture; until it is trained, it gives what the base gives."""
        config = base.preset["dit"]
        c, (_, ph, pw) = config["in_channels"], config["patch_size"]
        dit = {**config, "in_channels": cls.inward(c), "image_dim": c * ph * pw}
        model = cls({**base.preset, "dit": dit}, base.codec)
        weights = {k: v for k, v in base.state_dict().items() if "patch_embedding.weight" not in k}
        model.load_state_dict(weights, strict=False)
        with torch.no_grad():
            model.dit.patch_embedding.weight.zero_()[:, :c] = base.dit.patch_embedding.weight
            for name, parameter in model.dit.named_parameters():
                if name.endswith("add_v_proj.weight"):
                    parameter.zero_()
        return model.to(base.device)

    def forward(
        self,
        x: Video,
        tau: Tau,
        text: Tensor,
        first: Tensor | None = None,
        *,
        skip_layers: Sequence[int] = (),
        kept: Kept | None = None,
    ) -> Video:
        """The velocity; first are the latents (b or 1, c, n, h, w) of the first n frames.

        Args:
            x: latents (b, c, f, h, w).
            tau: timesteps (b, f).
            text: from `encode_text`.
            first: latents of what is given: of the picture alone, or of the frames after it too, if the model was
                trained so; without any, their channels are empty.
            skip_layers: blocks of the transformer to leave out.
            kept: of frames at rest, see `pusa_lab.resting`.
        """
        extra = x.new_zeros(len(x), MASK + x.shape[1], *x.shape[2:])
        if first is None:
            first = x.new_zeros(1, *x[0, :, :1].shape)
        else:
            given = first.shape[2]
            extra[:, :MASK, :given] = 1
            extra[:, MASK:, :given] = first.to(x)
        _, ph, pw = self.dit.config["patch_size"]
        patches = first.to(x)[:, :, 0].unfold(2, ph, ph).unfold(3, pw, pw)
        image = patches.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2).expand(len(x), -1, -1)
        x_and_picture = torch.cat([x, extra], dim=1).to(text.dtype)
        return self.dit(x_and_picture, tau, text, image.to(text.dtype), skip_layers, kept).to(x.dtype)
