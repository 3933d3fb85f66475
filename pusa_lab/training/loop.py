"""Lightning's loop, set up from a TrainConfig."""

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

from pusa_lab.arguments import checked
from pusa_lab.files import check_folder
from pusa_lab.training.config import TrainConfig
from pusa_lab.training.data import Bank, Batches, LatentVideoDataModule
from pusa_lab.training.module import Report, ShardedVTAModule, TrainedModule, VTAModule
from pusa_lab.training.resume import CheckpointFile, check_resume, check_weights
from pusa_lab.types import computes_in_bfloat16

Keep = Callable[[int, torch.nn.Module], None]
"""(step, model) -> None."""


@checked
class Averaging(WeightAveraging):
    """Exponential average of the weights, young at first: keep = min(decay, (1 + n) / (10 + n)) after n averages.

    Averaging walks over all parameters in Python: every tenth step, with the decay of ten, costs a tenth.

    Args:
        config: the run.
    """

    EVERY = 10
    _latest_update_step: int

    def __init__(self, config: TrainConfig):
        def average(old: torch.Tensor, new: torch.Tensor, count: torch.Tensor | int) -> torch.Tensor:
            n = float(count)
            return torch.lerp(old, new, 1 - min(config.ema**self.EVERY, (1 + n) / (10 + n)))

        super().__init__(use_buffers=False, avg_fn=average)
        self.ended = False

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Every tenth step; the last one is averaged in when the run has ended, so that a longer run can go on."""
        return step_idx is not None and (step_idx + 1) % self.EVERY == 0

    def on_validation_epoch_start(self, trainer: Any, pl_module: L.LightningModule) -> None:
        """As Lightning; after the last step with what is written."""
        if trainer.global_step == trainer.max_steps:
            self._finish(trainer.global_step, pl_module)
        super().on_validation_epoch_start(trainer, pl_module)

    def on_train_end(self, trainer: Any, pl_module: L.LightningModule) -> None:
        """As Lightning, with the last step averaged in."""
        self._finish(trainer.global_step, pl_module)
        super().on_train_end(trainer, pl_module)
        self.ended = True

    def on_fit_end(self, trainer: Any, pl_module: L.LightningModule) -> None:
        """The same where a run is resumed at its end, and Lightning does not begin to train."""
        if not self.ended:
            self.on_train_end(trainer, pl_module)

    def _finish(self, step: int, module: L.LightningModule) -> None:
        average: Any = self._average_model
        if self._latest_update_step != step:
            average.update_parameters(module)
            self._latest_update_step = step

    def on_load_checkpoint(self, trainer: Any, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """As Lightning, with the frozen weights, which the checkpoint of a low-rank run leaves out."""
        frozen = {name: p.detach() for name, p in pl_module.named_parameters() if not p.requires_grad}
        for key in {"state_dict", "current_model_state"} & set(checkpoint):
            checkpoint[key] = {**frozen, **checkpoint[key]}
        super().on_load_checkpoint(trainer, pl_module, checkpoint)

    def now(self, module: L.LightningModule, step: int) -> Any:
        """The average as if the run ended here; the run's own average stays as it is.

        Args:
            module: with the weights of this step.
            step: number of steps taken.
        """
        average: Any = self._average_model
        if self._latest_update_step != step:
            average = copy.deepcopy(average)
            average.update_parameters(module)
        return average.module


@checked
class Marks(L.Callback):
    """Hands out the weights at some steps, averaged if the run averages.

    Args:
        marks: steps.
        keep: called with the step and the model; must not change it.
    """

    def __init__(self, marks: Sequence[int], keep: Keep):
        self.marks, self.keep = set(marks), keep

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """After the step was averaged: this callback comes behind `Averaging`."""
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
    """Train a module in place; on a GPU that has it in bfloat16, with TF32 products, unless configured otherwise.

    Args:
        module: what to train, with its configuration.
        data: as for `fit`; of parts of batches, where `micro` makes parts, as many as all steps have.
        logs: folder for curves (run-0/metrics.csv and TensorBoard's files) and last.ckpt; None writes nothing.
        resume: a checkpoint written under `logs` by an earlier run of the same configuration. That of split weights is
            a folder, which torch.distributed.checkpoint unpickles: give none but your own.
        accelerator: Lightning's: auto, cpu, gpu.
        marks: steps after which `keep` is called, each in 1..config.steps.
        keep: (step, model with the averaged weights) -> None.
        devices: processes on each host, one a GPU; with more than one the gradients are averaged (DDP), or the weights
            of a `ShardedVTAModule` are split (FSDP2).
        nodes: hosts.

    Raises:
        ValueError: checkpoints are asked for, but no folder is given; there is no checkpoint to resume from, or one
            that is not whole, of another run or beyond its last step; there are fewer batches than steps, or batches
            of another form; or the trained weights are not finite.
    """
    config = module.config
    found = check_run(config, logs, resume, module.about)
    if wrong := [mark for mark in marks if not 1 <= mark <= config.steps]:
        raise ValueError(f"mark {wrong[0]} of a run of {config.steps} steps: give marks in 1..{config.steps}.")
    if resume is not None and found is not None:
        check_weights(module, found, resume)
    data = _batches(module, data, devices * nodes)
    products = torch.get_float32_matmul_precision()
    trainer = _trainer(module, logs, accelerator, marks, keep, devices, nodes)
    whole = isinstance(data, L.LightningDataModule)
    source: dict[str, Any] = {"datamodule": data} if whole else {"train_dataloaders": data, "val_dataloaders": []}
    try:
        torch.set_float32_matmul_precision("high")
        with warnings.catch_warnings():
            # Curves and checkpoints share the folder, and a resumed run goes on in it.
            # Lightning uses all_gather itself; and all processes validate on the same clips.
            for dropped in (".*LeafSpec.*", ".*functional.all_gather is deprecated.*", ".*sync_dist=True.*"):
                warnings.filterwarnings("ignore", dropped)
            warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view")  # nothing changes it in place
            warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
            trainer.fit(module, **source, ckpt_path=resume, weights_only=True)
    finally:
        torch.set_float32_matmul_precision(products)
    if not all(p.isfinite().all() for p in module.parameters() if p.requires_grad):
        raise ValueError(f"training diverged (weights are not finite): try lr below {config.lr}.")


def _batches(module: TrainedModule, data: Any, processes: int) -> Any:
    """What Lightning is given: batches of someone's own are counted, and begin where the run begins."""
    times = module.config.accumulate(processes)
    if isinstance(data, Bank):
        data = LatentVideoDataModule(copy.copy(data))
    if isinstance(data, L.LightningDataModule):
        if times > 1 and isinstance(getattr(data, "train", None), Bank):
            raise ValueError(f"micro={module.config.micro}: a Bank gives whole batches, set micro=0.")
        return data
    return Batches(data, module.config.steps * times, lambda: module.trainer.global_step * times)


@checked
def check_run(
    config: TrainConfig, logs: Path | None, resume: Path | None, about: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """Refuse, before any long work, what `run` could not do; returns the checkpoint.

    Args:
        config: the run.
        logs: folder for curves and checkpoints.
        resume: checkpoint to go on from.
        about: what else the run is of, such as its data, by name; a checkpoint of another is refused.

    Raises:
        ValueError: checkpoints are asked for, but no folder is given, or one that cannot be written to; there is no
            checkpoint to resume from, or one that does not fit; or the optimizer is not installed.
    """
    if config.optimizer == "adamw8bit":
        try:
            import torchao.optim  # noqa: F401  (without it no moments of 8 bits are read from a checkpoint)
        except ImportError as error:
            raise ValueError(
                "optimizer='adamw8bit' needs torchao: pip install torchao, or set optimizer=adamw."
            ) from error
    if config.save_every and logs is None:
        raise ValueError(f"save_every={config.save_every}, but no folder was given for the checkpoints: pass logs=.")
    if logs is not None:
        check_folder(logs, "logs")
    return None if resume is None else check_resume(config, resume, about)


@checked
def precision(config: TrainConfig, accelerator: str = "auto") -> str:
    """In which numbers a run computes, in Lightning's words.

    Args:
        config: the run; its precision, unless that is "auto".
        accelerator: Lightning's: auto, cpu, gpu.
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
        data: a `Bank`, a LightningDataModule, or an iterable of batches (latents (b, c, f, h, w), b captions), such as
            a list or a generator: at least config.steps of them, from the first one also where a run is resumed.
        config: the run.
        logs: folder for curves and checkpoints; None writes nothing.
        report: called at every validation.
        **options: of `run`: resume, accelerator.

    Raises:
        ValueError: as for `run`, or all weights are frozen.
    """
    if not any(weight.requires_grad for weight in model.parameters()):
        raise ValueError(
            "model has no weights to train, all are frozen: call model.requires_grad_(True) or "
            "training.add_lora(model, rank) first."
        )
    run(VTAModule(model, config, report), data, logs, **options)


def _trainer(
    module: TrainedModule,
    logs: Path | None,
    accelerator: str,
    marks: Sequence[int],
    keep: Keep | None,
    devices: int,
    nodes: int,
) -> L.Trainer:
    config, split = module.config, isinstance(module, ShardedVTAModule)
    times = config.accumulate(devices * nodes)
    callbacks: list[L.Callback] = []
    if config.ema:
        callbacks.append(Averaging(config))
    if keep:
        callbacks.append(Marks(marks, keep))
    if config.save_every:
        # Split weights are many files and not renamed as one: the checkpoint before stays until the new one is whole.
        name = "last-{step}" if split else "last"
        callbacks.append(
            ModelCheckpoint(logs, filename=name, every_n_train_steps=config.save_every, enable_version_counter=False)
        )
    loggers = []
    if logs:
        run_number = len(list(Path(logs).glob("run-*")))  # a resumed run keeps the curves of the first
        where = {"save_dir": logs, "name": "", "version": f"run-{run_number}"}
        loggers = [CSVLogger(**where), TensorBoardLogger(**where)]
    return L.Trainer(
        accelerator=accelerator,
        devices=devices,
        num_nodes=nodes,
        plugins=None if split else CheckpointFile(),
        strategy=ModelParallelStrategy(devices * nodes, 1) if split else "ddp" if devices * nodes > 1 else "auto",
        accumulate_grad_batches=times,
        precision=precision(config, accelerator),  # type: ignore[arg-type]
        max_steps=config.steps,
        callbacks=callbacks,
        logger=loggers,
        log_every_n_steps=min(config.log_every, config.steps),
        use_distributed_sampler=False,  # batches share themselves out; all processes validate on all that is held out
        check_val_every_n_epoch=None,
        val_check_interval=config.validate_every * times or None,  # counted in batches
        limit_val_batches=1.0 if config.validate_every else 0,
        num_sanity_val_steps=0,
        enable_checkpointing=bool(config.save_every),
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
    )
