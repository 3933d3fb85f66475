"""Checks of the checkpoints to resume from: incomplete, foreign or harmful ones are refused before any long work."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.files import content_digest, writing
from pusa_lab.sentences import counted
from pusa_lab.training.config import TrainConfig
from pusa_lab.training.lora import frozen_mark
from pusa_lab.training.module import ShardedVTAModule, TrainedModule

MAY_CHANGE = [
    *("max_steps", "micro_batch_size", "precision", "compile"),
    *("log_every", "validate_every", "save_every", "check_finite"),
]
"""Fields of TrainConfig that a resumed run may change, because the optimizer's state keeps its meaning."""
OUTLINE = "outline"
"""Key under which a checkpoint stores the hash of its own structure."""
EVERY = {"config": dict, "about": dict, "global_step": int, "loops": dict, "lr_schedulers": list}
WHOLE = {"state_dict": dict, "optimizer_states": list, "callbacks": dict, OUTLINE: str}
AVERAGED = {"current_model_state": dict, "averaging_state": dict}
STEPS = ("fit_loop", "epoch_loop.automatic_optimization.optim_progress", "optimizer", "step", "total", "completed")
"""Path in a checkpoint to the number of steps from which Lightning continues."""


class CheckpointFile(TorchCheckpointIO):
    """Writes an outline with each checkpoint, and reads to the CPU; Lightning's plugin cannot read 8-bit moments."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint with its outline, atomically, so that a kill or a full disk leaves the one before it.

        Args:
            checkpoint: as put together by Lightning.
            path: of the file.
            storage_options: as Lightning passes it; not used.

        Raises:
            OSError: the file cannot be written.
        """
        with writing(path) as part, part.open("wb") as stream:
            try:
                torch.save({**checkpoint, OUTLINE: outline(checkpoint)}, stream)
            except RuntimeError as error:  # PyTorch hides the error of the disk behind one of its own
                raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Load a checkpoint to the CPU, without the state of ModelCheckpoint, whose paths could be written or deleted.

        Args:
            path: of the file.
            map_location: as for torch.load; None means the CPU.
            weights_only: as for torch.load.
        """
        found = super().load_checkpoint(path, map_location or "cpu", weights_only)
        callbacks = {k: v for k, v in found["callbacks"].items() if not k.startswith("ModelCheckpoint")}
        return {**found, "callbacks": callbacks}


@checked
def outline(checkpoint: Mapping[str, Any]) -> str:
    """Return a hash of all names, types and shapes in a checkpoint, which shows whether a part is missing.

    Args:
        checkpoint: nested dictionaries and lists; its own outline is ignored.
    """
    inside = {k: v for k, v in checkpoint.items() if k != OUTLINE}
    lines = [
        f"{name} {type(leaf).__name__} {tuple(leaf.shape) if isinstance(leaf, Tensor) else ''}"
        for name, leaf in _leaves(inside)
    ]
    return content_digest("\n".join(sorted(lines)))


def _leaves(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list | tuple) else ()
    for key, value in inner:
        yield from _leaves(value, f"{name}/{key}")
    if not isinstance(tree, dict | list | tuple) or not tree:
        yield name, tree


@checked
def check_resume(config: TrainConfig, resume: Path, about: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Read a checkpoint and check that this run can resume from it.

    Args:
        config: of the run.
        resume: path of the checkpoint.
        about: what else identifies the run, such as its data, by name.

    Returns:
        The checkpoint, memory-mapped.

    Raises:
        ValueError: the checkpoint is missing, incomplete, of another run, or beyond the run's last step.
    """
    if not Path(resume).exists():
        raise ValueError(f"no checkpoint {resume} to resume from: a run with save_every=N writes last.ckpt.")
    found = _read(resume)
    now, then = _identity(config, about), {**found["config"], **found["about"]}
    if other := [k for k, v in now.items() if k not in then or then[k] != v]:
        before, after = (", ".join(f"{k}={c.get(k)}" for k in other) for c in (then, now))
        raise ValueError(
            f"{resume} is of a run with {before}, but this one has {after}: give a checkpoint of this run."
        )
    _check_whole(found, resume, bool(config.ema))
    step = found["global_step"]
    if step > config.max_steps:
        raise ValueError(
            f"{resume} is of step {step}, but max_steps={config.max_steps}: give max_steps={step} or more."
        )
    return found


def _identity(config: TrainConfig, about: Mapping[str, str] | None) -> dict[str, Any]:
    """What must be the same in a run and in the checkpoint from which it is resumed."""
    return {k: v for k, v in asdict(config).items() if k not in MAY_CHANGE} | dict(about or {})


@checked
def check_not_replaced(
    config: TrainConfig, logs: Path, resume: Path | None = None, about: Mapping[str, str] | None = None
) -> None:
    """Refuse to write checkpoints where those of another run lie; files from which no run can be resumed do not count.

    Args:
        config: of the run.
        logs: folder for the checkpoints.
        resume: checkpoint to resume from; that one, and others of the same run, may be replaced.
        about: what else identifies the run, such as its data, by name.

    Raises:
        ValueError: the folder holds a checkpoint of another run, or of this one, which is not resumed.
    """
    if int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))):
        return  # the first process has looked, and may be writing by now
    for path in sorted(logs.glob("last*.ckpt")):
        try:
            found = _read(path)
        except ValueError:
            continue
        then = {**found["config"], **found["about"]}
        if resume is not None and all(k in then and then[k] == v for k, v in _identity(config, about).items()):
            continue
        raise ValueError(
            f"logs {logs} holds {path.name} of a run that took {counted(found['global_step'], 'step')}: "
            f"resume it with resume='{path}', give another folder for the logs, or delete the file."
        )


def _read(resume: Path) -> dict[str, Any]:
    """Read a checkpoint, memory-mapped, so that only the parts in use are read."""
    try:
        split = Path(resume).is_dir()  # weights and moments are in other files; meta.pt is written last
        at = Path(resume) / "meta.pt" if split else resume
        found = torch.load(at, map_location="cpu", weights_only=True, mmap=True)
        fields = EVERY if split else {**EVERY, **WHOLE}
        whole = {"config", "global_step"} <= set(found)
    except Exception:  # the unpickler answers arbitrary bytes with errors of any kind
        whole = False
    if not whole:
        raise ValueError(f"{resume} is truncated or not a checkpoint to resume from: give a last.ckpt of a run.")
    _check_types(found, fields, resume)
    plain = {"config": int | float | str, "about": str}
    for name, kinds in plain.items():
        if not all(isinstance(k, str) and isinstance(v, kinds) for k, v in found[name].items()):
            raise _broken(resume, f"its {name!r} has values of wrong types")
    return found


def _check_types(found: Mapping[str, Any], fields: Mapping[str, type], resume: Path) -> None:
    for name, kind in fields.items():
        if name not in found:
            raise _broken(resume, f"{name!r} is missing")
        if type(found[name]) is not kind and not (kind is dict and isinstance(found[name], dict)):
            raise _broken(resume, f"{name!r} is a {type(found[name]).__name__}")


def _check_whole(found: dict[str, Any], resume: Path, averages: bool) -> None:
    """Refuse a checkpoint without parts that Lightning would silently reset; of a folder, only meta.pt is checked."""
    at: Any = found["loops"]
    for name in STEPS:
        at = at.get(name) if isinstance(at, dict) else None
    after = [s.get("last_epoch") if isinstance(s, dict) else None for s in found["lr_schedulers"]]
    if type(at) is not int or at < 1 or at != found["global_step"] or after != [at]:
        raise _broken(resume, f"its parts are of different steps: {found['global_step']}, {at!r:.40}, {after!r:.40}")
    if "state_dict" not in found:
        return
    if averages:
        _check_types(found, AVERAGED, resume)
        of, count = found["callbacks"].get("Averaging"), found["averaging_state"].get("n_averaged")
        if not isinstance(of, dict) or type(of.get("latest_update_step")) is not int or not isinstance(count, Tensor):
            raise _broken(resume, "it does not say how often weights were averaged")
    if not all((type(leaf) in (int, bool) and leaf >= 0) or leaf == {} for _, leaf in _leaves(found["loops"])):
        raise _broken(resume, "its loops have values of wrong types")
    if found[OUTLINE] != outline(found):
        raise _broken(resume, "parts of it were removed or changed")
    for name, leaf in _leaves({k: v for k, v in found.items() if k not in ("callbacks", "config")}):
        if isinstance(leaf, Tensor) and leaf.is_floating_point() and not _finite(leaf):
            raise _broken(resume, f"{name.strip('/')} has numbers that are not finite")


def _finite(x: Tensor) -> bool:
    parts = [getattr(x, name) for name in ("codes", "scale", "qmap") if hasattr(x, name)]  # 8-bit moments
    return all(bool(p.isfinite().all()) for p in parts or [x] if p.is_floating_point())


def _broken(resume: Path, why: str) -> ValueError:
    return ValueError(f"{resume} is incomplete ({why}): give another checkpoint of the run, or start it again.")


@checked
def check_resumed_weights(module: TrainedModule, found: dict[str, Any], resume: Path) -> None:
    """Refuse a checkpoint of another model, or of a LoRA on another base model.

    Args:
        module: the module before it is trained.
        found: the checkpoint, from `check_resume`.
        resume: path of the checkpoint.

    Raises:
        ValueError: the checkpoint does not fit the module.
    """
    if ("state_dict" not in found) != isinstance(module, ShardedVTAModule):
        raise ValueError(
            f"{resume} is {'a single file' if 'state_dict' in found else 'a folder of sharded weights'}: "
            "give a checkpoint of this run."
        )
    if "state_dict" not in found:
        return  # sharded weights are read and compared when the model is sharded
    now = {name: value.shape for name, value in module.state_dict().items()}
    for state in ("state_dict", "current_model_state") if module.config.ema else ("state_dict",):
        then = {name: getattr(value, "shape", None) for name, value in found[state].items()}
        if then != now:
            name = min(k for k in then | now if then.get(k) != now.get(k))
            raise ValueError(f"{resume} is of another model (they differ in {name}): give a checkpoint of this run.")
    if found.get("base", "") not in ("", frozen_mark(module)):
        raise ValueError(f"{resume} is of a LoRA on another base model: give the model with which its run started.")
    trained = [p for p in module.parameters() if p.requires_grad]
    _check_optimizer(found["optimizer_states"], trained, resume)


def _check_optimizer(states: list[Any], trained: list[Any], resume: Path) -> None:
    """Refuse moments that fit no weight. Weights without a gradient have none; the outline holds their number."""
    ours = states[0] if len(states) == 1 and isinstance(states[0], dict) else {}
    groups, moments = ours.get("param_groups"), ours.get("state")
    if not isinstance(groups, list) or not isinstance(moments, dict) or not moments or len(groups) != 1:
        raise _broken(resume, "its optimizer has no state")
    if groups[0].get("params") != [*range(len(trained))]:
        raise ValueError(f"{resume} trains other weights than this run: give a checkpoint of this run.")
    for i, moment in moments.items():
        shapes = [getattr(moment.get(name), "shape", None) for name in ("exp_avg", "exp_avg_sq")]
        if i not in range(len(trained)) or any(shape != trained[i].shape for shape in shapes) or "step" not in moment:
            raise _broken(resume, f"its optimizer's state {i!r:.20} fits no weight")
