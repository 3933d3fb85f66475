"""The training loop: Lightning's trainer, set up from a TrainConfig."""

import copy
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.strategies import ModelParallelStrategy

from pusa_lab.arguments import checked, shown
from pusa_lab.files import check_folder
from pusa_lab.sentences import counted
from pusa_lab.training.config import TrainConfig
from pusa_lab.training.data import Batches, InMemoryDataset, LatentVideoDataModule
from pusa_lab.training.module import Report, ShardedVTAModule, TrainedModule, VTAModule
from pusa_lab.training.rescue import KeepTrained
from pusa_lab.training.resume import CheckpointFile, check_not_replaced, check_resume, check_resumed_weights
from pusa_lab.types import computes_in_bfloat16

Keep = Callable[[int, torch.nn.Module], None]
"""(step, model) -> None; called with the weights at a step."""


@checked
class Averaging(WeightAveraging):
    """Exponential moving average of the weights, with a lower decay at first.

    average <- d average + (1 - d) weights, d = min(ema^10, (1 + n) / (10 + n)) after n updates

    An update loops over all parameters in Python, so one is made every tenth step with the decay of ten steps.

    Args:
        config: of the run.
    """

    EVERY = 10
    _latest_update_step: int

    def __init__(self, config: TrainConfig):
        def average(old: list[torch.Tensor], new: list[torch.Tensor], count: torch.Tensor | int) -> None:
            n = float(count)  # waits for the GPU, so once for all parameters
            torch._foreach_lerp_(old, new, 1 - min(config.ema**self.EVERY, (1 + n) / (10 + n)))

        super().__init__(use_buffers=False, multi_avg_fn=average)
        self.ended = self.swapped = False

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Whether the average is updated at a step: at every tenth; the last step is added when the run has ended."""
        return step_idx is not None and (step_idx + 1) % self.EVERY == 0

    def on_validation_epoch_start(self, trainer: Any, pl_module: L.LightningModule) -> None:
        """Run Lightning's hook; after the last step, validate the weights that will be kept."""
        if trainer.global_step == trainer.max_steps:
            self._finish(trainer.global_step, pl_module)
        super().on_validation_epoch_start(trainer, pl_module)

    def on_train_end(self, trainer: Any, pl_module: L.LightningModule) -> None:
        """Run Lightning's hook after adding the last step to the average."""
        self._finish(trainer.global_step, pl_module)
        super().on_train_end(trainer, pl_module)
        self.ended = True

    def on_fit_end(self, trainer: Any, pl_module: L.LightningModule) -> None:
        """The same for a run that is resumed at its end, for which Lightning skips training."""
        if not self.ended:
            self.on_train_end(trainer, pl_module)

    def on_exception(self, trainer: Any, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Put the raw weights back if a validation failed, so that a checkpoint written now is right."""
        if self.swapped:
            self._swap_models(pl_module)

    def _swap_models(self, pl_module: L.LightningModule) -> None:
        super()._swap_models(pl_module)
        self.swapped = not self.swapped

    def _finish(self, step: int, module: L.LightningModule) -> None:
        average: Any = self._average_model
        if self._latest_update_step != step:
            average.update_parameters(module)
            self._latest_update_step = step

    def on_load_checkpoint(self, trainer: Any, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Run Lightning's hook after adding the frozen weights, which the checkpoint of a LoRA run omits."""
        frozen = {name: p.detach() for name, p in pl_module.named_parameters() if not p.requires_grad}
        for key in {"state_dict", "current_model_state"} & set(checkpoint):
            checkpoint[key] = {**frozen, **checkpoint[key]}
        super().on_load_checkpoint(trainer, pl_module, checkpoint)

    def now(self, module: L.LightningModule, step: int) -> Any:
        """Return the average as if the run ended here; the average of the run is not changed.

        Args:
            module: the module with the weights of this step.
            step: number of steps taken.
        """
        average: Any = self._average_model
        if self._latest_update_step != step:
            average = copy.deepcopy(average)
            average.update_parameters(module)
        return average.module


@checked
class Marks(L.Callback):
    """Calls a function with the weights at given steps, averaged if the run averages.

    Args:
        marks: the steps.
        keep: called with the step and the model, which it must not change.
    """

    def __init__(self, marks: Sequence[int], keep: Keep):
        self.marks, self.keep = set(marks), keep

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Call `keep`; this callback runs after `Averaging`, so the average includes the step."""
        if trainer.global_step in self.marks:
            averaging = [c for c in trainer.callbacks if isinstance(c, Averaging)]  # type: ignore[attr-defined]
            module: Any = averaging[0].now(pl_module, trainer.global_step) if averaging else pl_module
            self.keep(trainer.global_step, module.model)


@checked
def run(
    module: TrainedModule,
    data: Any,
    logs: Path | None = None,
    resume: Path | None = None,
    accelerator: str = "auto",
    marks: Sequence[int] = (),
    keep: Keep | None = None,
    devices: int = 1,
    nodes: int = 1,
) -> None:
    """Train a module in place, on a GPU in bfloat16 (if it has it) with TF32 products unless configured otherwise.

    Args:
        module: what to train, with its configuration.
        data: as for `fit`; if `micro_batch_size` splits batches, the data yields the parts, as many as all steps need.
        logs: folder for curves (run-0/metrics.csv and TensorBoard's files) and last.ckpt; None writes nothing.
        resume: a checkpoint written under `logs` by an earlier run of the same configuration. A checkpoint of sharded
            weights is a folder, which torch.distributed.checkpoint unpickles: give only your own.
        accelerator: as in Lightning: auto, cpu or gpu.
        marks: steps after which `keep` is called, each in 1..config.max_steps.
        keep: (step, model with the averaged weights) -> None.
        devices: processes on each host, one per GPU; if there are several, the gradients are averaged (DDP), or the
            weights of a `ShardedVTAModule` are sharded (FSDP2).
        nodes: number of hosts.

    Raises:
        ValueError: checkpoints are requested, but no folder is given; the checkpoint to resume from is missing,
            incomplete, of another run or beyond the last step; `logs` holds a checkpoint of another run; there are
            fewer batches than steps, or batches of another form or size; an option has no effect; or the trained
            weights are not finite.
        OSError: `logs` cannot be written to, for example because the disk is full; the sentence says where a checkpoint
            was saved instead.
    """
    config = module.config
    found = check_run(config, logs, resume, module.about)
    if wrong := [mark for mark in marks if not 1 <= mark <= config.max_steps]:
        raise ValueError(
            f"mark {wrong[0]} in a run of {counted(config.max_steps, 'step')}: give marks in 1..{config.max_steps}."
        )
    if resume is not None and found is not None:
        check_resumed_weights(module, found, resume)
    data = _batches(module, data, devices * nodes)
    products = torch.get_float32_matmul_precision()
    kept = None if logs is None else KeepTrained(logs, isinstance(module, ShardedVTAModule))
    trainer = _trainer(module, logs, kept, accelerator, marks, keep, devices, nodes)
    whole = isinstance(data, L.LightningDataModule)
    source: dict[str, Any] = {"datamodule": data} if whole else {"train_dataloaders": data, "val_dataloaders": []}
    try:
        torch.set_float32_matmul_precision("high")
        with warnings.catch_warnings():
            # Curves and checkpoints share the folder, and a resumed run continues in it.
            # Lightning itself uses all_gather, and all processes validate on the same clips.
            for dropped in (".*LeafSpec.*", ".*functional.all_gather is deprecated.*", ".*sync_dist=True.*"):
                warnings.filterwarnings("ignore", dropped)
            warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view")  # never changed in place
            warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
            trainer.fit(module, **source, ckpt_path=resume, weights_only=True)
    except OSError as error:
        if kept is None or not kept.sentence:
            raise
        if not kept.ended:
            raise OSError(kept.sentence) from error
        warnings.warn(f"the run has ended, but its last curves are missing: {kept.sentence}", stacklevel=2)
    finally:
        torch.set_float32_matmul_precision(products)
    if not all(p.isfinite().all() for p in module.parameters() if p.requires_grad):
        raise ValueError(f"training diverged (weights are not finite): try lr below {config.lr}.")


def _batches(module: TrainedModule, data: Any, processes: int) -> Any:
    """Wrap the data for Lightning; batches from the user are counted, and those already used are skipped."""
    times = module.config.accumulate(processes)
    _check_validation(module, data)
    if isinstance(data, InMemoryDataset):
        data = LatentVideoDataModule(copy.copy(data))
    if isinstance(data, L.LightningDataModule):
        if times > 1 and isinstance(getattr(data, "train", None), InMemoryDataset):
            raise ValueError(
                f"micro_batch_size={module.config.micro_batch_size}, but an InMemoryDataset gives whole batches: "
                "set micro_batch_size=0."
            )
        return data
    return Batches(data, module.config.max_steps * times, lambda: module.trainer.global_step * times)


def _check_validation(module: TrainedModule, data: Any) -> None:
    """Refuse what is for validation if nothing would be validated."""
    config, plain = module.config, not isinstance(data, L.LightningDataModule)
    if module.report is not None and not config.validate_every:
        raise ValueError("report is called at validations, but validate_every=0: set it, or leave out the report.")
    if config.num_val_clips and plain:
        raise ValueError(
            f"num_val_clips={config.num_val_clips} is for a latent cache, but data is {shown(data)}: set "
            "num_val_clips=0, and give clips to validate on as training.LatentVideoDataModule(train, val)."
        )
    if config.validate_every and (plain or (isinstance(data, LatentVideoDataModule) and data.val is None)):
        raise ValueError(
            f"validate_every={config.validate_every}, but data has no clips to validate on: give a "
            "training.LatentVideoDataModule(train, val), or set validate_every=0."
        )


@checked
def check_run(
    config: TrainConfig, logs: Path | None, resume: Path | None, about: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """Check, before any long work, that `run` can start; return the checkpoint to resume from, if any.

    Args:
        config: of the run.
        logs: folder for curves and checkpoints.
        resume: checkpoint to resume from.
        about: what else identifies the run, such as its data, by name; a checkpoint with other values is refused.

    Raises:
        ValueError: checkpoints are requested, but no folder is given, or it cannot be written, or it holds those of
            another run; the checkpoint to resume from is missing or does not fit; the warm-up is longer than the run;
            or the optimizer is not installed.
    """
    if config.optimizer == "adamw8bit":
        try:
            import torchao.optim  # noqa: F401  (needed to read 8-bit moments from a checkpoint)
        except ImportError as error:
            raise ValueError(
                "optimizer='adamw8bit' needs torchao: pip install torchao, or set optimizer=adamw."
            ) from error
    if config.warmup > config.max_steps:
        raise ValueError(
            f"warmup={config.warmup} is more than max_steps={config.max_steps}, so the learning rate never reaches its "
            f"peak: set warmup={config.max_steps} or less."
        )
    if config.save_every and logs is None:
        raise ValueError(f"save_every={config.save_every}, but no folder was given for the checkpoints: give logs too.")
    if logs is not None:
        check_folder(logs, "logs")
    found = None if resume is None else check_resume(config, resume, about)
    if logs is not None and config.save_every:
        check_not_replaced(config, logs, resume, about)
    return found


@checked
def precision(config: TrainConfig, accelerator: str = "auto") -> str:
    """Return the precision of a run by Lightning's name, such as "bf16-mixed".

    Args:
        config: of the run; its precision is returned unless it is "auto".
        accelerator: as in Lightning: auto, cpu or gpu.
    """
    if config.precision != "auto":
        return config.precision
    gpu = accelerator in ("auto", "gpu") and torch.cuda.is_available()
    return "bf16-mixed" if gpu and computes_in_bfloat16("cuda") else "32-true"


@checked
def fit(
    model: torch.nn.Module,
    data: Any,
    config: TrainConfig,
    logs: Path | None = None,
    report: Report | None = None,
    **options: Any,
) -> None:
    """Train a video model in place with frame-aware flow matching.

    Args:
        model: a `VideoModel` that is an nn.Module.
        data: an `InMemoryDataset`, a LightningDataModule of `Batch`, or an iterable, such as a list or a generator, of
            `Batch` or (latents (b, c, f, h, w), b captions). It yields at least config.max_steps batches, and starts
            with the first one also when a run is resumed.
        config: of the run.
        logs: folder for curves and checkpoints; None writes nothing.
        report: (model, step) -> numbers to log by name; called at every validation.
        **options: of `run`, such as resume and accelerator.

    Raises:
        ValueError: as for `run`, or all weights are frozen.
    """
    if not any(weight.requires_grad for weight in model.parameters()):
        raise ValueError(
            "model has no weights to train, because all are frozen: call model.requires_grad_(True) or "
            "training.add_lora(model, rank) first."
        )
    run(VTAModule(model, config, report), data, logs, **options)


def _trainer(
    module: TrainedModule,
    logs: Path | None,
    kept: KeepTrained | None,
    accelerator: str,
    marks: Sequence[int],
    keep: Keep | None,
    devices: int,
    nodes: int,
) -> L.Trainer:
    config, split = module.config, isinstance(module, ShardedVTAModule)
    times = config.accumulate(devices * nodes)
    callbacks: list[L.Callback] = [Averaging(config)] if config.ema else []
    if keep:
        callbacks.append(Marks(marks, keep))
    if config.save_every:
        # Sharded weights are many files, not renamed at once: the last checkpoint stays until the new one is complete.
        name = "last-{step}" if split else "last"
        callbacks.append(
            ModelCheckpoint(logs, filename=name, every_n_train_steps=config.save_every, enable_version_counter=False)
        )
    if kept:
        callbacks.append(kept)  # after the average, which is put in order first
    loggers = []
    if logs:
        # The curves of the run that is resumed are kept.
        where = {"save_dir": logs, "name": "", "version": f"run-{len(list(Path(logs).glob('run-*')))}"}
        loggers = [CSVLogger(**where), TensorBoardLogger(**where)]
    return L.Trainer(
        accelerator=accelerator,
        devices=devices,
        num_nodes=nodes,
        plugins=None if split else CheckpointFile(),
        strategy=ModelParallelStrategy(devices * nodes, 1) if split else "ddp" if devices * nodes > 1 else "auto",
        accumulate_grad_batches=times,
        precision=precision(config, accelerator),  # type: ignore[arg-type]
        max_steps=config.max_steps,
        callbacks=callbacks,
        logger=loggers,
        log_every_n_steps=min(config.log_every, config.max_steps),
        use_distributed_sampler=False,  # the data distributes itself; all processes validate on all held-out clips
        check_val_every_n_epoch=None,
        val_check_interval=config.validate_every * times or None,  # counted in batches
        limit_val_batches=1.0 if config.validate_every else 0,
        num_sanity_val_steps=0,
        enable_checkpointing=bool(config.save_every),
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
    )
