"""Lightning modules: frame-aware flow matching for any trainable `VideoModel`, and training of its codec."""

import copy
import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import lightning as L
import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import checked, shown
from pusa_lab.losses import fafm_frame_loss
from pusa_lab.metrics import psnr
from pusa_lab.named import source_digest
from pusa_lab.sentences import counted
from pusa_lab.training.batch import Batch
from pusa_lab.training.config import TrainConfig
from pusa_lab.training.data import seed_of
from pusa_lab.training.forcing import Forcing
from pusa_lab.training.lora import frozen_mark
from pusa_lab.types import Tau

NOISE_BINS = 5
"""Number of equal parts of [0, 1] by which the loss is logged."""
Report = Callable[[torch.nn.Module, int], dict[str, float]]
"""(model, step) -> numbers to log by name; it may also write pictures."""


@checked
class TrainedModule(L.LightningModule):
    """Base of all training modules: the optimizer, and randomness that depends on seed and step alone.

    So a resumed run continues exactly. `about` holds what else identifies a run, such as its data, by name; a run only
    resumes from a checkpoint with the same values.

    Args:
        model: the nn.Module to train.
        config: of the run.
        report: called at every validation, with the averaged weights in place.
    """

    def __init__(self, model: torch.nn.Module, config: TrainConfig, report: Report | None = None):
        super().__init__()
        self.model: Any = model
        self.config = config
        self.report = report
        self.about: dict[str, str] = {}
        self._step_before = -1

    def on_train_epoch_start(self) -> None:
        """Stop if the data gave no batch since the last epoch, instead of waiting forever.

        Raises:
            ValueError: the data ended before the last step, and gave nothing when it was started again.
        """
        if self.global_step == self._step_before:
            raise ValueError(f"data gave no batch after step {self.global_step} of {self.config.max_steps}: give more.")
        self._step_before = self.global_step

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Refuse batches of another type, which only a data module of the user's own can give, or of another size.

        Raises:
            ValueError: it is not a `Batch`, or the first one has another number of clips than is configured.
        """
        if not isinstance(batch, Batch):
            raise ValueError(f"the data module gave {shown(batch)}: give training.Batch(x0, captions).")
        config, processes = self.config, self.trainer.world_size
        expected = config.micro_batch_size or config.global_batch_size // processes
        if batch_idx == 0 and len(batch.x0) != expected:
            field = "micro_batch_size" if config.micro_batch_size else "global_batch_size"
            size = len(batch.x0) * (1 if config.micro_batch_size else processes)
            raise ValueError(
                f"the first batch has {counted(len(batch.x0), 'clip')}, but {field}={getattr(config, field)} on "
                f"{counted(processes, 'process')} needs {expected}: set {field}={size}, or give other batches."
            )

    def generator(self, device: torch.device | str, step: int, stream: int) -> torch.Generator:
        """Return the random generator of one stream in one step.

        Args:
            device: of the generator.
            step: number of the step; negative in validation.
            stream: as for `seed_of`, such as 1 for timesteps and 2 for noise.
        """
        return torch.Generator(device).manual_seed(seed_of(self.config.seed, step, stream))

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW on the trained weights; its rate warms up linearly, then decays as a cosine or stays constant."""
        config = self.config
        trained = [p for p in self.parameters() if p.requires_grad]
        how: dict[str, Any] = {"lr": config.lr, "betas": (0.9, config.beta2), "weight_decay": config.weight_decay}
        if config.optimizer == "adamw8bit":
            from torchao.optim import AdamW8bit  # takes seconds to import

            optimizer: torch.optim.Optimizer = AdamW8bit(trained, **how)
        else:
            optimizer = torch.optim.AdamW(trained, **how, fused=True)

        def rate(step: int) -> float:
            end = 0.5 + 0.5 * math.cos(math.pi * step / config.max_steps) if config.lr_scheduler == "cosine" else 1.0
            return min((step + 1) / max(config.warmup, 1), end)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        """Clip the norm of all gradients together; Lightning's own clipping refuses fused AdamW in mixed precision."""
        trained = (p for group in optimizer.param_groups for p in group["params"])
        torch.nn.utils.clip_grad_norm_([p for p in trained if p.grad is not None], self.config.max_grad_norm)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the configuration and a hash of the frozen weights, so that no other run resumes from the checkpoint."""
        checkpoint["config"] = asdict(self.config)
        checkpoint["about"] = dict(self.about)
        if self.config.lora_rank:
            checkpoint["base"] = frozen_mark(self)

    @property
    def strict_loading(self) -> bool:  # type: ignore[override]
        """False in a LoRA run, whose checkpoint omits the frozen weights: they are those of the base model."""
        return not self.config.lora_rank

    def state_dict(self, *args: Any, prefix: str = "", **kwargs: Any) -> dict[str, Any]:
        """The weights; in a LoRA run only the trained ones."""
        state = super().state_dict(*args, prefix=prefix, **kwargs)
        frozen = [n for n, p in self.named_parameters() if not p.requires_grad] if self.config.lora_rank else []
        for name in frozen:
            state.pop(prefix + name, None)
        return state

    def __deepcopy__(self, memo: dict[int, Any]) -> "TrainedModule":
        """Copy the module for averaging; frozen weights, which may be 14 billion, are shared."""
        memo |= {id(p): p for p in self.parameters() if not p.requires_grad}
        copied = self.__class__.__new__(self.__class__)
        memo[id(self)] = copied
        copied.__dict__.update(copy.deepcopy(self.__getstate__(), memo))
        return copied

    def make_report(self, batch_idx: int) -> None:
        """Log what `report` measures, at the first batch of a validation."""
        if self.report and batch_idx == 0:
            self.log_dict(self.report(self.model, self.global_step), on_epoch=True, batch_size=1)


@checked
class VTAModule(TrainedModule):
    """Frame-aware flow matching: sample timesteps, add noise to the clips, and compare the predicted velocity.

    loss = FAFM(model, x0, tau, eps), tau from the configured timestep sampler (Eq. 11, arXiv 2507.16116)

    Args:
        model: a `VideoModel` that is an nn.Module.
        config: of the run.
        report: called at every validation, with the averaged weights in place.
        loss: of each frame before it is weighted, (denoiser, x0, tau, eps, **cond) -> (b, f).
    """

    def __init__(
        self,
        model: torch.nn.Module,
        config: TrainConfig,
        report: Report | None = None,
        loss: Callable[..., Tensor] = fafm_frame_loss,
    ):
        super().__init__(model, config, report)
        self.timestep_sampler, self.weight = config.make_timestep_sampler(), config.make_weight()
        self.step_losses: list[tuple[Tensor, Tensor]] = []
        if loss is not fafm_frame_loss:
            self.about["loss"] = source_digest(loss)
        self.forcing = Forcing(model, config.causal, config.make_history(), config.first_alone)
        loss = self.forcing.loss(loss)
        self.loss = torch.compile(loss, mode=config.compile) if config.compile else loss

    def frame_loss(
        self, batch: Batch, step: int, dropout: float, part: int = 0, parts: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Sample timesteps for a batch and compute the loss of each frame.

        Args:
            batch: clips; its extras are further arguments of the denoiser call.
            step: determines the randomness.
            dropout: share of captions that the null prompt replaces.
            part: number of this part of the step's clips, from 0. Timesteps and noise are made for all clips of a step
                and then divided, so they do not depend on the number of GPUs.
            parts: number of parts.

        Returns:
            Timesteps tau (b, f), and the loss (b, f).

        Raises:
            ValueError: the latents do not have the model's channels.
        """
        x0, prompts = batch.x0, batch.captions
        geometry = getattr(self.model, "geometry", None)
        if geometry is not None and x0.shape[1] != (channels := geometry.channels):
            raise ValueError(
                f"latents of shape {tuple(x0.shape)} for a model of {counted(channels, 'channel')}: give latents of "
                "its codec."
            )
        on_cpu = self.generator("cpu", step, 1)
        mine = slice(part * len(x0), (part + 1) * len(x0))
        kept = (torch.rand(len(prompts) * parts, generator=on_cpu) >= dropout)[mine]
        cond = self.model.encode_text([p if k else "" for p, k in zip(prompts, kept.tolist(), strict=True)])
        cond |= batch.extras
        tau = self.timestep_sampler(len(x0) * parts, x0.shape[2], on_cpu)[mine].to(x0.device, non_blocking=True)
        noise = self.generator(x0.device, step, 2)
        eps = torch.randn((len(x0) * parts, *x0.shape[1:]), generator=noise, device=x0.device)[mine]
        more = self.generator(x0.device, step, 3)

        def draw(make: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
            return make((len(x0) * parts, *shape), generator=more, device=x0.device)[mine]

        past = self.forcing.past(self.model, x0, tau, eps, draw, step >= 0, cond)
        if self.config.compile:
            torch.compiler.cudagraph_mark_step_begin()
        return tau, self.loss(self.model, x0, tau, eps, **past, **cond)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch; the loss of the whole step is logged as `loss`, and by timestep and frame.

        Raises:
            ValueError: the loss is not finite, if the configuration asks for this check.
        """
        world, times = self.trainer.world_size, self.trainer.accumulate_grad_batches
        part = batch_idx % times * world + self.trainer.global_rank
        tau, loss = self.frame_loss(batch, self.global_step, self.config.caption_dropout, part, world * times)
        if self.config.check_finite and not loss.isfinite().all():
            raise ValueError(
                f"the loss of step {self.global_step} is not finite, its clips are "
                f"{', '.join(map(str, batch.names or batch.captions))}: "
                "inspect them or lower lr; the last checkpoint is unchanged."
            )
        if (self.global_step + 1) % self.trainer.log_every_n_steps == 0:
            self.log_step(tau, loss.detach(), last=batch_idx % times == times - 1)
        return self.weighted(tau, loss)

    def log_step(self, tau: Tensor, loss: Tensor, last: bool) -> None:
        """Collect the losses of a step's batches, and log them, over all processes, with the last batch.

        Args:
            tau: timesteps (b, f) of one batch.
            loss: of each frame (b, f).
            last: whether this is the last batch of the step.
        """
        self.step_losses.append((tau, loss))
        if last:
            parts = [torch.cat(part) for part in zip(*self.step_losses, strict=True)]
            tau, loss = (self.all_gather(part).reshape(-1, part.shape[1]) for part in parts)
            self.log_dict({"loss": loss.mean(), **by_timestep_and_frame(tau, loss)})
            self.step_losses.clear()

    def weighted(self, tau: Tensor, loss: Tensor) -> Tensor:
        """Return the weighted loss: the mean of w l over frames, or of mean w times mean l over clips.

        Args:
            tau: timesteps (b, f).
            loss: of each frame, l (b, f).
        """
        weight = self.weight(tau)
        if self.config.per_sample_weighting:
            weight = weight.mean(1, keepdim=True)
        return (weight * loss).mean()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what the history has learned."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["history"] = self.forcing.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take that over; checkpoints of earlier versions have no histories."""
        self.forcing.load_state(checkpoint.get("history", {}))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the loss of a held-out batch at fixed timesteps and noise, as `val_loss`."""
        tau, loss = self.frame_loss(batch, -1 - batch_idx, 0.0)
        names = {"loss": loss.mean(), **by_timestep_and_frame(tau, loss)}
        self.log_dict({f"val_{name}": value for name, value in names.items()}, batch_size=len(loss))
        self.make_report(batch_idx)


@checked
class ShardedVTAModule(VTAModule):
    """`VTAModule` for training all weights, sharded over the processes with their gradients and moments (FSDP2).

    Args:
        model: also offers shard(mesh, device), as `wan.trainable.TrainableWan` does.
        config: of the run, with lora_rank=0 and ema=0.
        report: called at every validation, by all processes together.

    Raises:
        ValueError: the configuration asks for a LoRA or averaged weights.
    """

    whole: dict[str, Tensor]
    """After training, the full weights on the CPU of the first process; empty on the others."""

    def __init__(self, model: torch.nn.Module, config: TrainConfig, report: Report | None = None):
        super().__init__(model, config, report)
        if config.lora_rank or config.ema:
            raise ValueError(
                f"lora_rank={config.lora_rank}, ema={config.ema}: sharded weights take no LoRA and no averaging, "
                "set both to 0."
            )

    def configure_model(self) -> None:
        """Shard the weights; Lightning calls this when all processes have started."""
        mesh: Any = self.device_mesh
        self.model.shard(mesh["data_parallel"], self.trainer.strategy.root_device)

    def on_fit_end(self) -> None:
        """Gather the full weights, while the processes still run."""
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        self.whole = dict(get_model_state_dict(self.model, options=options))  # type: ignore[arg-type]


@checked
class ClipModule(TrainedModule):
    """Training of a network whose loss depends on the clips alone, such as a codec.

    Args:
        model: the nn.Module to train.
        config: of the run.
        loss: (model, clips) -> scalar loss, and its parts by name; batches with extras are (model, clips, extras).
        report: called at every validation.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        config: TrainConfig,
        loss: Callable[..., tuple[Tensor, dict[str, Tensor]]],
        report: Report | None = None,
    ):
        super().__init__(model, config, report)
        self.loss = torch.compile(loss, mode=config.compile) if config.compile else loss

    def clip_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch, and its parts by name.

        Args:
            batch: clips, with extras if the loss takes them.
        """
        return self.loss(self.model, batch.x0, *([batch.extras] if batch.extras else []))

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the loss of one batch; it is logged as `loss`, with its parts."""
        torch.manual_seed(seed_of(self.config.seed, self.global_step, 3))  # the loss uses the global generator
        loss, parts = self.clip_loss(batch)
        if (self.global_step + 1) % self.trainer.log_every_n_steps == 0:
            self.log_dict({"loss": loss.detach(), **parts})
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the loss of a held-out batch as `val_loss`, and its parts."""
        loss, parts = self.clip_loss(batch)
        self.log_dict({f"val_{k}": v for k, v in {"loss": loss, **parts}.items()}, batch_size=len(batch.x0))
        self.make_report(batch_idx)


class CodecModule(ClipModule):
    """Training of a codec, a model with encode(clip) -> latents and decode(latents) -> clip."""

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the PSNR of held-out clips after coding, and of their first frames coded alone."""
        clip = batch.x0
        db = psnr(self.model.decode(self.model.encode(clip)).float(), clip)
        alone = psnr(self.model.decode(self.model.encode(clip[:, :, :1])).float(), clip[:, :, :1])
        self.log_dict({"val_psnr": db.mean(), "val_psnr_frame0": alone.mean()}, batch_size=len(clip))
        self.make_report(batch_idx)


@checked
def by_timestep_and_frame(tau: Tau, loss: Float[Tensor, "b f"]) -> dict[str, Tensor]:
    """Return the mean loss in each of NOISE_BINS parts of [0, 1] (NaN in a part without timesteps), and per frame.

    Args:
        tau: timesteps (b, f) in [0, 1].
        loss: of each frame (b, f).

    Raises:
        ValueError: a timestep is outside [0, 1].
    """
    # not on a GPU, where the check would wait for it
    if not tau.is_cuda and not ((tau >= 0) & (tau <= 1)).all():
        raise ValueError("tau has timesteps outside [0, 1]: give those at which the losses were computed.")
    part = (tau * NOISE_BINS).long().clamp(max=NOISE_BINS - 1).flatten()
    total, count = (torch.zeros(NOISE_BINS, device=loss.device) for _ in range(2))
    total.index_add_(0, part, loss.float().flatten())
    count.index_add_(0, part, torch.ones_like(loss, dtype=torch.float32).flatten())
    bins = {f"loss_tau_{i / NOISE_BINS:.1f}": value for i, value in enumerate(total / count)}
    return bins | {f"loss_frame_{i}": value for i, value in enumerate(loss.mean(0))}
