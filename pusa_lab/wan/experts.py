"""Loading of the one or two transformers of a Wan with their LoRA files, after all have been checked."""

import functools
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import torch
from diffusers import WanTransformer3DModel

from pusa_lab.arguments import checked
from pusa_lab.progress import bar
from pusa_lab.wan.attention import set_attention
from pusa_lab.wan.checks import check_single, check_update
from pusa_lab.wan.folders import Folder
from pusa_lab.wan.headers import WeightFile
from pusa_lab.wan.loading import read_transformer
from pusa_lab.wan.lora import Expert, LoRAReport, load_lora, merge
from pusa_lab.wan.lora.files import LoRAFile, Source, read_lora
from pusa_lab.wan.lora.names import is_low_noise
from pusa_lab.wan.precision import use_float8
from pusa_lab.wan.transformer import VTAWanTransformer3DModel, check_text_to_video

Single: TypeAlias = str | Path | list[WeightFile] | None
"""Other weights of a transformer: a file or folder, as `checks.check_single`; None for its own."""
Updates: TypeAlias = Sequence[tuple[str | Path | LoRAFile, float]]
"""LoRA files of one expert, each with its strength."""
ROLES: tuple[Expert, Expert] = ("high", "low")
"""Roles of two experts: for high noise and for low noise."""


@checked
def by_expert(folder: Folder, updates: Sequence[Sequence[tuple[str | Path, float]]]) -> list[Updates]:
    """Read the LoRA files of each expert; a file given for high noise that holds both LoRAs is added to the other.

    Args:
        folder: from `folders.check_wan_folder`; its weights need not be there.
        updates: LoRA files for each expert, as in `check_experts`.

    Returns:
        The same pairs with the content of each file, which is read once.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file cannot be read, or one with both LoRAs is given for the expert for low noise only.
    """
    _check_both([None, None], updates)
    read = functools.cache(read_lora)
    high = [(read(Path(source)), scale) for source, scale in updates[0]]
    if len(folder.experts) == 1:
        return [high, updates[1]]
    low = [(read(Path(source)), scale) for source, scale in updates[1]]
    both = [(file, scale) for file, scale in high if _is_for_both(file)]
    given = {file.where for file, _ in low}
    for file, _ in low:
        if file.where not in {one.where for one, _ in high} and _is_for_both(file):
            raise ValueError(
                f"{file.where} holds the LoRAs of both experts: give it as lora=, which loads each into its own expert."
            )
    return [high, [*((file, scale) for file, scale in both if file.where not in given), *low]]


def _is_for_both(file: LoRAFile) -> bool:
    return len({is_low_noise(key) for key in file.entries}) == 2


def _check_both(singles: Sequence[Single], updates: Sequence[Updates]) -> None:
    if len(singles) != 2 or len(updates) != 2:
        raise ValueError(
            f"singles has {len(singles)} entries and updates {len(updates)}: give two each, for high and low noise."
        )


def _roles(folder: Folder) -> tuple[Expert | None, ...]:
    return ROLES if len(folder.experts) == 2 else (None,)


@checked
def check_experts(
    folder: Folder, singles: Sequence[Single], updates: Sequence[Updates]
) -> list[list[WeightFile] | None]:
    """Check that the files for each expert fit, before any weights are read.

    Args:
        folder: from `folders.check_wan_folder`; its weights need not be there.
        singles: file or folder with other weights for each of two experts, the one for high noise first; None for none.
        updates: LoRA files for each of two experts, in the same order.

    Returns:
        The files of `singles`, whose headers need not be read again.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file does not fit, or is for an expert that the model does not have.
    """
    _check_both(singles, updates)
    if len(folder.experts) == 1 and (singles[1] or updates[1]):
        raise ValueError(
            f"{folder.path} has one transformer: leave out transformer_low= and lora_low=, which are for a second."
        )
    if len(folder.experts) == 2 and bool(singles[0]) != bool(singles[1]):
        raise ValueError(f"{folder.path} has two experts: give transformer= and transformer_low=, or neither.")
    read: list[list[WeightFile] | None] = [None, None]
    for i, (name, role, pairs) in enumerate(zip(folder.experts, _roles(folder), updates, strict=False)):
        config, single = folder.config(name), singles[i]
        check_text_to_video({"image_dim": None, **config})
        if single is not None:
            read[i] = check_single(single, config)
        for source, scale in pairs:
            check_update(source, config, scale, expert=role)
    if len(folder.experts) == 2 and bool(updates[0]) != bool(updates[1]):
        warnings.warn("only one of the two experts gets a LoRA, and the other stays as it was.", stacklevel=4)
    return read


@checked
def read_experts(
    folder: Folder,
    singles: Sequence[Single],
    updates: Sequence[Updates],
    *,
    dtype: torch.dtype,
    precision: str | None,
    merged: bool,
    device: torch.device,
    offload: str,
    attention: str | None = None,
) -> tuple[list[WanTransformer3DModel], list[list[LoRAReport]]]:
    """Read the transformers one after the other, each with its LoRA files.

    Args:
        folder: from `folders.check_wan_folder`, including the weights.
        singles: as in `check_experts`.
        updates: as in `check_experts`.
        dtype: in which the transformers compute.
        precision: one of `precision.PRECISIONS`, or None.
        merged: whether LoRAs are merged into the weights.
        device: on which the transformers will compute.
        offload: one of `loading.OFFLOADS`.
        attention: as `attention.set_attention`; None leaves diffusers' default.

    Returns:
        The transformers, and a list of LoRA reports for each.

    Raises:
        ValueError: as `check_experts`, or as `attention.check_attention`.
    """
    _check_both(singles, updates)
    experts, loras = [], []
    for name, role, single, pairs in zip(folder.experts, _roles(folder), singles, updates, strict=False):
        files = folder.files[name] if single is None else check_single(single, folder.config(name))
        size = round(sum(file.path.stat().st_size for file in files) / 1e9, 1)
        with bar(size, f"loading {name}", "GB") as advance:
            expert = VTAWanTransformer3DModel.adopt(
                read_transformer(folder, name, dtype, None if single is None else files)
            )
            advance(size)
        if pairs or precision is None:  # merging rank 512 takes seconds on a GPU and minutes on a CPU
            expert.to("cpu" if offload == "group" else device)
        loras.append([_put(expert, source, scale, role) for source, scale in pairs])
        if pairs and merged:
            merge(expert)
        if attention is not None:
            set_attention(expert, attention, device)
        if precision == "float8":
            use_float8(expert, device)
        elif precision == "float8-storage":
            expert.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=dtype)
        experts.append(expert.to(device if offload == "none" else "cpu"))
    return experts, loras


def _put(expert: WanTransformer3DModel, source: Source, strength: float, role: Expert | None) -> LoRAReport:
    file = read_lora(source)
    report = load_lora(expert, file, strength=strength, expert=role)
    if set(report.zero_norm) >= set(report.matched):
        warnings.warn(f"the LoRA {file.where} is zero everywhere, so it changes nothing.", stacklevel=4)
    return report
