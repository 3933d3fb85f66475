"""The Lightning module: frame-aware flow matching for any trainable `VideoModel`."""

import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor

from pusa_lab.losses import fafm_loss
from pusa_lab.training.config import TrainConfig
from pusa_lab.types import Video


class VTAModule(L.LightningModule):
    """One training step: draw clocks, noise the clips, ask for the velocity, compare.

    loss = FAFM(model, x0, tau, eps), tau from the configured draw (Eq. 11, arXiv 2507.16116)

    Args:
        model: a `VideoModel` that is an nn.Module; batches are (latents (b, c, f, h, w), list of captions).
        config: the run.
    """

    def __init__(self, model: torch.nn.Module, config: TrainConfig):
        super().__init__()
        self.model: Any = model
        self.config = config
        self.draw = config.make_draw()
        self.loss = torch.compile(fafm_loss, mode=config.compile) if config.compile else fafm_loss

    def training_step(self, batch: Sequence[Any], _: int) -> Tensor:
        """The loss of one batch, logged as `loss`."""
        x0, prompts = batch
        kept = torch.rand(len(prompts)) >= self.config.caption_dropout
        cond = self.model.encode_text([p if k else "" for p, k in zip(prompts, kept.tolist(), strict=True)])
        tau = self.draw(x0.shape[0], x0.shape[2]).to(x0.device)
        if self.config.compile:
            torch.compiler.cudagraph_mark_step_begin()
        loss = self.loss(self.model, x0, tau, torch.randn_like(x0), **cond)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW with linear warm-up and cosine decay, by step."""
        config = self.config
        optimizer = torch.optim.AdamW(
            self.parameters(), config.lr, betas=(0.9, 0.99), weight_decay=config.weight_decay, fused=True
        )

        def rate(step: int) -> float:
            return min((step + 1) / max(config.warmup, 1), 0.5 + 0.5 * math.cos(math.pi * step / config.steps))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def fit(
    model: torch.nn.Module,
    data: Iterable[tuple[Video, list[str]]],
    config: TrainConfig,
    logs: Path | None = None,
    accelerator: str = "auto",
) -> None:
    """Train a model in place; on a GPU its matrix products run in TF32.

    Args:
        model: a `VideoModel` that is an nn.Module.
        data: batches (latents (b, c, f, h, w), captions), at least config.steps of them.
        config: the run.
        logs: folder for the loss as CSV; None writes nothing.
        accelerator: Lightning's: auto, cpu, gpu.
    """
    precision = torch.get_float32_matmul_precision()
    # Averaging walks over all parameters in Python: every tenth step, with the decay of ten, costs a tenth.
    callbacks = [EMAWeightAveraging(decay=config.ema**10, update_every_n_steps=10)] if config.ema else []
    trainer = L.Trainer(
        accelerator=accelerator,
        devices=1,
        max_steps=config.steps,
        gradient_clip_val=config.clip,
        callbacks=callbacks,
        logger=CSVLogger(logs, name="", version="") if logs else False,
        log_every_n_steps=min(50, config.steps),
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
    )
    try:
        torch.set_float32_matmul_precision("high")
        trainer.fit(VTAModule(model, config), data)
    finally:
        torch.set_float32_matmul_precision(precision)
