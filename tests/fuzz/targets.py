"""Every public function and class of the packages, and why a few are not called."""
# ruff: noqa: E501, tables of values

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

EXCLUDED = {
    r"pusa_lab\.(arguments|annotations|annotations_arrays|sentences)\..*": "the door itself, see tests/test_arguments.py",
    r"pusa_lab\.data\.(pieces|shared_work|unsealed)\..*": "parts of an encoding, given what `encode_steps` has checked; tests/test_training_data_processes.py",
    r"pusa_lab\.data\.(encoder\.(encode_file|kept_by_codec|read_pixels)|cache\.(making_room|head_of))": "the same",
    r"pusa_lab\.cli\..*": "parts of the commands, called by the command lines of `commands`",
    r"pusa_lab\.timesteps\.checked_levels": "the door itself, see tests/test_samplers.py",
    r"pusa_lab\.timesteps\.velocity_by": "takes what was checked before, by position; tests/test_guiders_named.py",
    r"pusa_lab\.wan\.lora\.unknown_scales\.refuse_scale": "always refuses; tests/test_wan_lora_unknown_scales.py",
    r"small_models\.family\.train_toys": "trains; its checks are the command's",
    r"small_models\.experiments\.drift_report\..*": "words for a file that `bench long` has read and checked; tests/test_drift.py",
    r"small_models\.experiments\.(command|recipe|recipe_history)\..*": "a benchmark's command, see tests/test_cli_places.py and tests/test_recipe.py",
    r"pusa_lab\.wan\.outline\..*": "what commands try a request on; tests/test_cli_mistakes.py",
    r"pusa_lab\.models\.register_family": "changes what all later calls do; tests/test_models.py",
    r"pusa_lab\.model_checks\.(codec|denoiser|direction|report)\..*": "parts of check_model; tests/test_bring_check.py",
    r"pusa_lab\.vta\.(ltx|skyreels)\..*": "diffusers' classes with another forward; tests/test_bring_vta.py",
    r"pusa_lab\.models\.check_options": "a check, in whose name its callers speak",
    r"pusa_lab\.(schedules|timesteps|metrics)\..*\.?(check_\w+|snapped|drawn|call|whole_rows)": "checks, in whose name their callers speak",
    r"pusa_lab\.wan\.transformer\.VTAWanTransformerBlock": "the inside of a forward",
    r"pusa_lab\.wan\.caches\..*": "the inside of a call, and a check in whose name `prepare` speaks; tests/test_wan_caches.py",
    r"pusa_lab\.fa4\.fa4": "runs on a GPU alone, and asks nothing of one who loads a model; tests/test_fa4.py",
    r"pusa_lab\.wan\.resting\..*": "the inside of a forward, and its check; tests/test_wan_resting.py",
    r"pusa_lab\.resting\.([A-Z]\w+|refresh_of|attend_in_parts|same_condition)": "parts of a run, given what `prepare` has checked; tests/test_resting.py",
    r"pusa_lab\.(blocks\.\w+|causal\.([A-Z]\w+|causal_velocity))": "made by `causal`, and parts of a run; tests/test_causal.py",
    r"pusa_lab\.training\.(forcing\.\w+|histories\.[A-Z]\w+)": "parts of a step of training, given what it has checked; tests/test_forcing.py",
    r"pusa_lab\.streaming\.(window|captions|plan|blocks|actions)\.(?!steady_window).*": "parts of a stream, given what `stream` has checked; tests/test_stream.py",
    r"pusa_lab\.studio\.(play\..*|ActionPlayer)": "holds a stream, which checks what it is given; tests/test_actions.py",
    r"small_models\.evaluation\.actions\.(action_rollout|measure_actions)": "sample streams for many seconds; tests/test_actions.py",
    r"pusa_lab\.memory\..*": "the inside of a solver's step; tests/test_stream.py",
    r"pusa_lab\.samplers\.next_state": "a step of the loop, given what the loop has checked; tests/test_samplers.py",
    r"pusa_lab\.training\.(resume\.CheckpointFile|data\.Batches)": "hooks of Lightning, built by `fit`",
    r"pusa_lab\.training\.rescue\.save_or_rescue": "calls what it is given, whose own errors pass; tests/test_checkpoint_pairs.py",
    r"pusa_lab\.metrics\.frames\.in_parts": "takes what the metrics have checked",
    r"pusa_lab\.finetune\.train_wan": "trains; its checks are check_wan's and the command's",
    r"small_models\.training\.train\.train": "trains; its checks are the command's",
    r"pusa_lab\.training\.loop\.(run|fit)": "train; see tests/test_training.py",
    r"pusa_lab\.training\.float8\..*": "needs a GPU with 8-bit floats",
    r"pusa_lab\.float8\..*": "the inside of a layer; tests/test_wan_precision.py",
    r"pusa_lab\.wan\.precision\.(settle_precision|saved_bytes)": "given a config that was checked; tests/test_wan_precision.py",
    r"small_models\.models\.(autoencoder|dit)\..*": "layers, built from what the whole model has checked",
    r"pusa_lab\.data\.damage\.(opened|checked_frames|listening)": "give and take PyAV's open files, for decode.decoded alone",
    r"pusa_lab\.sweeps\.(identity|settings|scores|rows|store|run|scoring)\.(?!sweep|read_kept).*": "parts of sweep, in whose name they speak; tests/test_sweep_identity.py",
    r"pusa_lab\.progress\..*": "a bar; tests/test_sweep.py",
    r"pusa_lab\.notebook\.(check|check_that|unwritten|Wrong)": "judge an exercise, with assertions",
    r"pusa_lab\.training\.(loop|module|flow_maps)\.[A-Z].*": "hooks of Lightning, built by `fit`",
    r"pusa_lab\.wan\.(experts\.read_experts|loading\.require_room)": "need a folder of two experts; tests/test_wan_folders.py",
    r"small_models\.experiments\.(sampling_tables|training_tables|inside_table|learned_table|forgetting|recipe_table|recipe_search"
    r"|generalisation_table)\.(?!ratios|places|adaptations|shown_frames|growth|answer).*": "train and sample for minutes",
    r"small_models\.experiments\.(drift|drift_rows|measured_rows)\b.*": "parts of one benchmark, which samples for minutes; tests/test_drift.py",
    r"small_models\.experiments\.forcing(_report)?\..*": "parts of one benchmark, which trains; tests/test_benchmarks.py",
    r"small_models\.(records|models\.presets)\..*": "checks, in whose name their callers speak; tests/test_results.py",
    r"small_models\.experiments\.(run_table|measure_part|share_rows|kept_rows|Table|adapt\.ToyTrainer|lab\.Lab)": "train for minutes",
    r"small_models\.training\.(feature_job\.FeatureJob|action_job\.(ActionJob|begun_frame_loss))": "train",
    r"small_models\.evaluation\.evaluate\.(measure|measure_codec|frame0_latent)": "sample hundreds of clips",
    r"small_models\.evaluation\.measure_features\.measure_features": "reads hundreds of clips",
    r"pusa_lab\.inputs\..*": "checks, in whose name `prepare` speaks",
    r"pusa_lab\.digests\.((array|numbers)_digest|as_tensor)": "take tensors that were checked before",
    r"pusa_lab\.requests\.(embeddings|inputs_of|describe_request|requested_task)": "parts of a result, given what `prepare` has checked",
    r"pusa_lab\.versions\..*": "names of packages, files and devices, from the code alone",
    r"pusa_lab\.signatures\..*": "part of the checks",
    r"pusa_lab\.import_paths\.(run_file|add_folder)": "run code, and change where modules are found; tests/test_import_paths.py",
    r"pusa_lab\.wan\.offloading\.take_over": "part of from_pipeline, given a pipeline; tests/test_wan_wrapping.py",
    r"pusa_lab\.named\.dense": "takes what was found to be a tensor",
    r"pusa_lab\.schedulers\.Scheduler": "a protocol",
    r".*\.(StatefulSolver|VideoModel|Encoder|CachedClip|StudioMixin|FrameTimesteps)": "protocols and mixins, which are never constructed",
}
"""Pattern of full names -> reason."""


METHODS = {
    **{f"pusa_lab.types.Geometry.{name}": "Geometry((4, 8, 8), 16, 5, (64, 48))" for name in (
        "pixel_frames", "latent_frames", "latent_at", "pixels_at", "latent_shape")},
    **{f"pusa_lab.conditions.Conditions.{name}": "conditions()" for name in ("schedule", "encode", "start", "replace_known")},
    "pusa_lab.runs.Run.states": "prepared()",
    "pusa_lab.runs.Run.finish": "prepared()",
    "pusa_lab.runs.Asked.velocities": "the('pusa_lab.runs.Asked')(nano())",
    "small_models.models.toy.ToyModel.velocities": "nano()",
    "pusa_lab.wan.model.WanModel.geometry_at": "wan_model()",
    "pusa_lab.analytic.GaussianDenoiser.__call__": "pusa_lab.analytic.GaussianDenoiser(torch.zeros(4), torch.eye(4))",
}  # fmt: skip
"""Public methods that are called too -> text of an object."""


@dataclass(frozen=True)
class Target:
    """A function or class to be called."""

    name: str
    """As it is imported: pusa_lab.schedules.matrices.pyramid."""
    thing: Any

    @property
    def module(self) -> str:
        """pusa_lab.schedules, small_models.world: what the table's rows are."""
        return ".".join(self.name.split(".")[:2])


def public() -> Iterator[Target]:
    """Every function and class with a public name, in the module that defines it."""
    for root in ("pusa_lab", "small_models"):
        package = importlib.import_module(root)
        names = [root, *(m.name for m in pkgutil.walk_packages(package.__path__, f"{root}."))]
        for name in names:
            if not any(part.startswith("_") for part in name.split(".")):
                yield from _of(importlib.import_module(name))


def _of(module: Any) -> Iterator[Target]:
    for name, thing in vars(module).items():
        ours = getattr(thing, "__module__", "") == module.__name__
        plain = inspect.isfunction(thing) or inspect.isclass(thing)
        if ours and plain and not name.startswith("_") and not _is_error(thing):
            yield Target(f"{module.__name__}.{name}", thing)


def _is_error(thing: Any) -> bool:
    return inspect.isclass(thing) and issubclass(thing, BaseException)


def excluded(name: str) -> str:
    """Why it is not called, or "".

    Args:
        name: its full name.
    """
    return next((why for pattern, why in EXCLUDED.items() if re.fullmatch(pattern, name)), "")


def targets(only: str = "") -> list[Target]:
    """What is called.

    Args:
        only: the beginning of the names.
    """
    found = [t for t in public() if not excluded(t.name)]
    return [t for t in [*found, *methods()] if t.name.startswith(only)]


def methods() -> Iterator[Target]:
    """The methods in METHODS."""
    for name in METHODS:
        owner, _, method = name.rpartition(".")
        module, _, kind = owner.rpartition(".")
        yield Target(name, getattr(getattr(importlib.import_module(module), kind), method))
