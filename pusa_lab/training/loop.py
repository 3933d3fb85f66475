"""Lightning's loop, set up from a TrainConfig."""

import copy
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.strategies import ModelParallelStrategy

from pusa_lab.training.config import TrainConfig
from pusa_lab.training.lora import frozen_mark
from pusa_lab.training.module import Report, ShardedVTAModule, TrainedModule, VTAModule
from pusa_lab.types import computes_in_bfloat16

MAY_CHANGE = ["steps", "precision", "log_every", "validate_every", "save_every", "compile", "micro", "check_finite"]
"""Fields of TrainConfig that a resumed run may have otherwise: the optimizer's state keeps its meaning."""

Keep = Callable[[int, torch.nn.Module], None]
"""(step, model) -> None."""


class Averaging(WeightAveraging):
    """Exponential average of the weights, young at first: keep = min(decay, (1 + n) / (10 + n)) after n averages.

    Averaging walks over all parameters in Python: every tenth step, with the decay of ten, costs a tenth.

    Args:
        config: the run.
    """

    EVERY = 10

    def __init__(self, config: TrainConfig):
        def average(old: torch.Tensor, new: torch.Tensor, count: torch.Tensor | int) -> torch.Tensor:
            n = float(count)
            return torch.lerp(old, new, 1 - min(config.ema**self.EVERY, (1 + n) / (10 + n)))

        super().__init__(use_buffers=False, avg_fn=average)
        self.last = config.steps

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Every tenth step and the last."""
        return step_idx is not None and ((step_idx + 1) % self.EVERY == 0 or step_idx + 1 == self.last)

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


class _File(TorchCheckpointIO):
    """Reads a checkpoint to the CPU; Lightning's own way does not read moments of 8 bits."""

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        return super().load_checkpoint(path, map_location or "cpu", weights_only)


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
        data: a LightningDataModule, or batches: at least config.steps of them.
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
        ValueError: checkpoints are asked for, but no folder is given; or there is no checkpoint to resume from, or one
            of another run.
    """
    config = module.config
    check_run(config, logs, resume)
    if wrong := [mark for mark in marks if not 1 <= mark <= config.steps]:
        raise ValueError(f"mark {wrong[0]} of a run of {config.steps} steps: give marks in 1..{config.steps}.")
    if resume is not None:
        _check_weights(module, resume)
    products = torch.get_float32_matmul_precision()
    trainer = _trainer(module, logs, accelerator, marks, keep, devices, nodes)
    whole = isinstance(data, L.LightningDataModule)
    source = {"datamodule": data} if whole else {"train_dataloaders": data, "val_dataloaders": []}
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


def check_run(config: TrainConfig, logs: Path | None, resume: Path | None) -> None:
    """Refuse, before any long work, what `run` could not do.

    Args:
        config: the run.
        logs: folder for curves and checkpoints.
        resume: checkpoint to go on from.

    Raises:
        ValueError: checkpoints are asked for, but no folder is given; there is no checkpoint to resume from, or one of
            another configuration; or the optimizer is not installed.
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
    if resume is None:
        return
    if not Path(resume).exists():
        raise ValueError(f"no checkpoint {resume} to resume from: a run with save_every=N writes last.ckpt.")
    old = _read(resume)["config"]
    other = [k for k, v in asdict(config).items() if k not in MAY_CHANGE and (k not in old or old[k] != v)]
    if other:
        then, now = (", ".join(f"{k}={c.get(k)}" for k in other) for c in (old, asdict(config)))
        raise ValueError(f"{resume} is of a run with {then}, this one has {now}: give a checkpoint of this very run.")


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
        data: batches (latents (b, c, f, h, w), captions), at least config.steps of them, or a LightningDataModule.
        config: the run.
        logs: folder for curves and checkpoints; None writes nothing.
        report: called at every validation.
        **options: of `run`: resume, accelerator.
    """
    run(VTAModule(model, config, report), data, logs, **options)


def _read(resume: Path) -> dict[str, Any]:
    """What a run wrote; mapped, so that only what is looked at is read."""
    try:
        split = Path(resume).is_dir()  # weights and moments lie beside this file, which is written last
        at = Path(resume) / "meta.pt" if split else resume
        found = torch.load(at, map_location="cpu", weights_only=True, mmap=True)
        whole = {"config", "global_step", *(() if split else ("state_dict", "optimizer_states"))} <= set(found)
    except Exception:  # the unpickler answers arbitrary bytes with errors of any kind
        whole = False
    if not whole:
        raise ValueError(f"{resume} is truncated or no checkpoint to resume from: give a last.ckpt of a run.")
    return found


def _check_weights(module: TrainedModule, resume: Path) -> None:
    found = _read(resume)
    if ("state_dict" not in found) != isinstance(module, ShardedVTAModule):
        raise ValueError(
            f"{resume} is {'one file' if 'state_dict' in found else 'a folder, of split weights'}: "
            "give a checkpoint of this very run."
        )
    if "state_dict" not in found:
        return  # read and compared when the weights are split
    then = {name: value.shape for name, value in found["state_dict"].items()}
    now = {name: value.shape for name, value in module.state_dict().items()}
    if then != now:
        name = min(k for k in then | now if then.get(k) != now.get(k))
        raise ValueError(f"{resume} is of another model (they differ in {name}): give a checkpoint of this very run.")
    if found.get("base", "") not in ("", frozen_mark(module)):
        raise ValueError(f"{resume} is of a LoRA on other weights than these: give the model that it began with.")


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
        plugins=None if split else _File(),
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
