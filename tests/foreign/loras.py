"""LoRA files as other programs write them, each with what PEFT's own model makes of it.

`make(kind, folder)` writes one of `KINDS` and returns its path and the output of PEFT's model on `inputs()`.
"""

import copy
import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import WanPipeline, WanTransformer3DModel
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor

TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2", "proj_out"]
WIDE = ["blocks.0.attn1.to_q", "blocks.1.attn2.to_v", "blocks.1.ffn.net.2"]
ORIGINAL = {
    "attn1.to_out.0": "self_attn.o",
    "attn2.to_out.0": "cross_attn.o",
    "attn1.to_": "self_attn.",
    "attn2.to_": "cross_attn.",
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
    "proj_out": "head.head",
}
"""Parts of diffusers' names -> of Wan's own."""


def base() -> WanTransformer3DModel:
    """A Wan of two blocks, always with the same weights."""
    torch.manual_seed(0)
    sizes = {"num_attention_heads": 2, "attention_head_dim": 12, "ffn_dim": 48, "num_layers": 2}
    model = WanTransformer3DModel((1, 2, 2), in_channels=4, out_channels=4, text_dim=16, freq_dim=32, **sizes).eval()
    torch.nn.init.normal_(model.proj_out.weight, std=0.2)
    return model


@torch.no_grad()
def run(model: Any) -> Tensor:
    """The velocity for latents that are always the same."""
    g = torch.Generator().manual_seed(7)
    x, text = torch.randn(2, 4, 3, 6, 10, generator=g), torch.randn(2, 5, 16, generator=g)
    return model(x, torch.tensor([300.0, 900.0]), text, return_dict=False)[0]


def peft_model(seed: int = 1, **config: Any) -> PeftModel:
    """PEFT's own model, with A and B that change something."""
    config = {"r": 4, "lora_alpha": 16, "target_modules": TARGETS} | config
    model = get_peft_model(base(), LoraConfig(**config)).eval()
    g = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        if "lora_" in name:
            p.data = torch.randn(p.shape, generator=g) / 8
            p.data = p.data.abs() + 0.5 if "magnitude" in name else p.data
    return model


def original(path: str) -> str:
    """A layer's name in Wan's own code."""
    for theirs, wan in ORIGINAL.items():
        path = path.replace(theirs, wan)
    return path


def pairs(model: PeftModel) -> dict[str, Tensor]:
    """A and B of a model: "<path>.lora_A.weight" and so on."""
    state = get_peft_model_state_dict(model)
    return {key.removeprefix("base_model.model."): tensor.contiguous() for key, tensor in state.items()}


def renamed(model: PeftModel, a: str, b: str) -> dict[str, Tensor]:
    """The pairs under other names, such as "{u}.lora_down.weight"; d is diffusers' name, o Wan's, u Wan's in _."""
    out = {}
    for key, tensor in pairs(model).items():
        path = key.split(".lora_")[0]
        names = {"d": path, "o": original(path), "u": original(path).replace(".", "_"), "du": path.replace(".", "_")}
        out[(a if ".lora_A." in key else b).format(**names)] = tensor
    return out


# What each program writes


def _peft_folder(model: PeftModel, folder: Path) -> Path:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*have invalid shape")  # PEFT takes its own biases for pieces of tensors
        model.save_pretrained(folder)
    return folder


def _peft_file(model: PeftModel, folder: Path) -> Path:
    return _peft_folder(model, folder) / "adapter_model.safetensors"


def _peft_renamed(model: PeftModel, folder: Path) -> Path:
    return _peft_file(model, folder).rename(folder / "my lora.safetensors")


def _diffusers_weights(model: PeftModel, folder: Path) -> Path:
    told = copy.deepcopy(model.peft_config["default"].to_dict())
    WanPipeline.save_lora_weights(folder, pairs(model), transformer_lora_adapter_metadata=told)
    return folder / "pytorch_lora_weights.safetensors"


def _diffusers_adapter(model: PeftModel, folder: Path) -> Path:
    bare = base()
    bare.add_adapter(copy.deepcopy(model.peft_config["default"]))
    bare.load_state_dict({f"{k.replace('.weight', '.default.weight')}": v for k, v in pairs(model).items()}, False)
    bare.save_lora_adapter(folder)
    return folder / "pytorch_lora_weights.safetensors"


def _tensors(
    a: str, b: str, header: dict[str, str] | None = None, alpha: str = ""
) -> Callable[[PeftModel, Path], Path]:
    """A file of plain tensors; `alpha` is the name of each layer's own, as kohya and ComfyUI have it."""

    def write(model: PeftModel, folder: Path) -> Path:
        held = renamed(model, a, b)
        if alpha:
            layers = [key.split(".lora_")[0] for key in renamed(model, a, b) if "down" in key or "lora_A" in key]
            held |= {f"{layer}.{alpha}": torch.tensor(16.0) for layer in layers}
        save_file(held, folder / "lora.safetensors", header)
        return folder / "lora.safetensors"

    return write


def _entries(**settings: Any) -> Callable[[PeftModel, Path], Path]:
    def write(model: PeftModel, folder: Path) -> Path:
        torch.save({**pairs(model), **settings}, folder / "lora.pt")
        return folder / "lora.pt"

    return write


def _split(header: dict[str, str], **settings: float) -> Callable[[PeftModel, Path], Path]:
    """A part of what is to be known in the header, the rest among the tensors."""

    def write(model: PeftModel, folder: Path) -> Path:
        held = pairs(model) | {key: torch.tensor(value) for key, value in settings.items()}
        save_file(held, folder / "lora.safetensors", header)
        return folder / "lora.safetensors"

    return write


def _accelerate(model: PeftModel, folder: Path) -> Path:
    """A checkpoint of a training, with the states of all that was trained."""
    _peft_file(model, folder).rename(folder / "pytorch_lora_weights.safetensors")
    states = (
        "optimizer",
        "optimizer_1",
        "scheduler",
        "training_args",
        "model_1",
        "pytorch_model",
        "mp_rank_00_model_states",
    )
    for name in states:
        torch.save({"state": {}}, folder / f"{name}.bin")
    save_file({"x": torch.ones(1)}, folder / "model.safetensors")
    torch.save({"state": {}}, folder / "random_states_0.pkl")
    return folder


def _wrapped(*names: str, **settings: Any) -> Callable[[PeftModel, Path], Path]:
    def write(model: PeftModel, folder: Path) -> Path:
        held: dict[str, Any] = pairs(model)
        for name in names:
            held = {name: held, "step": 3, **settings}
        torch.save(held, folder / "lora.ckpt")
        return folder / "lora.ckpt"

    return write


def _scalars(**settings: float) -> Callable[[PeftModel, Path], Path]:
    def write(model: PeftModel, folder: Path) -> Path:
        held = pairs(model) | {key: torch.tensor(value) for key, value in settings.items()}
        save_file(held, folder / "lora.safetensors")
        return folder / "lora.safetensors"

    return write


KOHYA = {"ss_network_module": "networks.lora_wan", "ss_network_dim": "4", "ss_network_alpha": "16.0"}
DOWN, UP = ".lora_down.weight", ".lora_up.weight"
A, B = ".lora_A.weight", ".lora_B.weight"
PATTERNS = {
    "rank_pattern": {r"blocks\.0\..*to_q": 2, "ffn.net.2": 6},
    "alpha_pattern": {r"^blocks\.1\.attn1\.to_(k|v)": 5, "to_v": 7, "net.0.proj": 3},
}
RS = {"use_rslora": True}
WORDS, RSW = {name: json.dumps(pattern) for name, pattern in PATTERNS.items()}, {"use_rslora": "True"}
RANKED = {"rank": 4, "alpha": 16, "use_rslora": True}
HPARAMS = {"lr": 1e-4, "bias": True, "rank": 4, "lora_alpha": 16, "alpha": None} | PATTERNS | RS

KINDS: dict[str, tuple[dict[str, Any], Callable[[PeftModel, Path], Path], str]] = {
    "PEFT's folder": ({}, _peft_folder, "adapter_config.json"),
    "PEFT's file": ({}, _peft_file, "adapter_config.json"),
    "PEFT's file under another name": ({}, _peft_renamed, "adapter_config.json"),
    "PEFT, rsLoRA": (RS, _peft_folder, "adapter_config.json"),
    "PEFT, patterns": (PATTERNS, _peft_folder, "adapter_config.json"),
    "PEFT, rsLoRA with patterns": (PATTERNS | RS, _peft_folder, "adapter_config.json"),
    "PEFT, trained biases of B": ({"lora_bias": True}, _peft_folder, "adapter_config.json"),
    "diffusers": ({}, _diffusers_weights, "lora_adapter_metadata"),
    "diffusers, rsLoRA": (RS, _diffusers_weights, "lora_adapter_metadata"),
    "diffusers, patterns": (PATTERNS, _diffusers_weights, "lora_adapter_metadata"),
    "diffusers, an adapter": ({}, _diffusers_adapter, "lora_adapter_metadata"),
    "diffusers, an adapter with patterns": (PATTERNS | RS, _diffusers_adapter, "lora_adapter_metadata"),
    "kohya, header and alphas": ({}, _tensors("lora_unet_{u}" + DOWN, "lora_unet_{u}" + UP, KOHYA, "alpha"), "alphas"),
    "kohya, header alone": ({}, _tensors("lora_unet_{u}" + DOWN, "lora_unet_{u}" + UP, KOHYA), "ss_network_alpha"),
    "kohya's words on other names": (
        {},
        _tensors("transformer.{d}" + A, "transformer.{d}" + B, {"ss_network_dim": "4", "ss_network_alpha": "16"}),
        "ss_network_alpha",
    ),
    "LyCORIS, rsLoRA": (
        RS,
        _tensors(
            "lycoris_{du}" + DOWN, "lycoris_{du}" + UP, KOHYA | {"ss_network_args": json.dumps({"rs_lora": "True"})}
        ),
        "ss_network_alpha",
    ),
    "ComfyUI": ({}, _tensors("diffusion_model.{o}" + DOWN, "diffusion_model.{o}" + UP, None, "alpha"), "alphas"),
    "words of a header": (
        {},
        _tensors("{o}" + A, "{o}" + B, {"lora_alpha": "16", "rank": "4"}),
        "lora_alpha in the header",
    ),
    "lora_alpha": ({}, _entries(lora_alpha=16), "lora_alpha in the file"),
    "transformer.lora_alpha": ({}, _entries(**{"transformer.lora_alpha": 16.0, "transformer.r": 4}), "lora_alpha"),
    "alpha": ({}, _entries(alpha=torch.tensor(16)), "alpha in the file"),
    "alpha, a tensor": ({}, _scalars(alpha=16.0), "alpha in the file"),
    "transformer.lora_alpha, a tensor": ({}, _scalars(**{"transformer.lora_alpha": 16.0}), "lora_alpha in the file"),
    "beside a wrapped dict": ({}, _wrapped("state_dict", lora_alpha=16, rank=4), "lora_alpha in the file"),
    "transformer.lora_alpha of a header": ({}, _split({"transformer.lora_alpha": "16"}), "lora_alpha in the header"),
    "transformer.alpha of a header": ({}, _split({"transformer.alpha": "16"}), "alpha in the header"),
    "a header with two names that agree": (
        {},
        _split({"transformer.lora_alpha": "16.0", "lora_alpha": "16"}),
        "lora_alpha in the header",
    ),
    "rsLoRA in the header, alpha in the file": (
        RS,
        _split({"use_rslora": "True"}, lora_alpha=16),
        "with use_rslora in",
    ),
    "rsLoRA in the file, alpha in the header": (
        RS,
        _split({"alpha": "16"}, use_rslora=1),
        "with use_rslora in the file",
    ),
    "patterns of a header": (PATTERNS, _split(WORDS | {"lora_alpha": "16"}), "lora_alpha in the header"),
    "patterns of a header, alpha in the file": (
        PATTERNS | RS,
        _split(WORDS | RSW, alpha=16, rank=4),
        "alpha_pattern in",
    ),
    "patterns in a pickle": (PATTERNS, _entries(lora_alpha=16, **PATTERNS), "lora_alpha in the file"),
    **{
        f"{name} in a pickle": (PATTERNS | RS, _wrapped("state_dict", **{name: HPARAMS}), f"in {name} in the file")
        for name in ("config", "hparams", "hyper_parameters")
    },
    "hparams, deeper": (RS, _wrapped("model", hparams={"rank": 0, "lora": RANKED}), "alpha in lora in hparams in the"),
    "hparams of a header": (
        RS,
        _split({"hparams": json.dumps({"seed": 1} | RANKED)}),
        "alpha in hparams in the header",
    ),
    "hparams beside tensors": (RS, _entries(hparams={"lr": 1.0, **RANKED}), "alpha in hparams in the file"),
    "accelerate's folder": ({}, _accelerate, "adapter_config.json"),
    "a configuration in a pickle": (
        RS,
        _wrapped("model", lora_config={"r": 4, "lora_alpha": 16, "use_rslora": True}),
        "lora_config in the file",
    ),
}
"""Program -> the settings of PEFT's model, how it is written, and what a report must say of the scale."""

ONE = {"lora_alpha": 4}
"""Nothing states a scale: it is 1."""
NAMINGS: dict[str, Callable[[PeftModel, Path], Path]] = {
    "lora_unet__": _tensors("lora_unet__{u}" + DOWN, "lora_unet__{u}" + UP),
    "lycoris": _tensors("lycoris_{du}" + DOWN, "lycoris_{du}" + UP),
    "module": _tensors("module.{d}" + A, "module.{d}" + B),
    "model in a dict": _wrapped("model"),
    "state_dict in a dict": _wrapped("module", "state_dict"),
    "no .weight": _tensors("{o}.lora_A", "{o}.lora_B"),
    "no .weight, named": _tensors("{o}.lora_A.default", "{o}.lora_B.default"),
    "_lora.up": _tensors("{d}_lora.down.weight", "{d}_lora.up.weight"),
    "processors": _tensors("unet.{d}.processor.lora.down.weight", "unet.{d}.processor.lora.up.weight"),
    "unet": _tensors("unet.{d}" + A, "unet.{d}" + B),
    "compiled": _tensors("_orig_mod.transformer.{d}" + A, "_orig_mod.transformer.{d}" + B),
    "doubled": _tensors("diffusion_model.diffusion_model.{o}" + A, "diffusion_model.diffusion_model.{o}" + B),
    "PEFT": _tensors("base_model.model.{d}.lora_A.default.weight", "base_model.model.{d}.lora_B.default.weight"),
    "converted by Musubi, alpha in the tensors": _tensors("diffusion_model.{o}" + A, "diffusion_model.{o}" + B, KOHYA),
    "rank alone": _tensors("transformer.{d}" + A, "transformer.{d}" + B, {"rank": "4"}),
}
"""Only a name, the scale is 1."""


def _peft_kind(**config: Any) -> Callable[[Path], Path]:
    return lambda folder: _peft_folder(peft_model(**config), folder)


def _with(extra: Callable[[dict[str, Tensor]], dict[str, Tensor]], header: dict[str, str] | None = None) -> Any:
    def write(folder: Path) -> Path:
        held = renamed(peft_model(), "transformer.{d}" + A, "transformer.{d}" + B)
        save_file(held | extra(held), folder / "lora.safetensors", header)
        return folder / "lora.safetensors"

    return write


def _dora_without_its_config(folder: Path) -> Path:
    path = _peft_file(peft_model(use_dora=True), folder)
    (folder / "adapter_config.json").unlink()
    return path


Q = "transformer.blocks.0.attn1.to_q."
DORA = json.dumps({"transformer.r": 4, "transformer.lora_alpha": 16, "transformer.use_dora": True})
OTHERS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "DoRA": (_peft_kind(use_dora=True), "DoRA"),
    "DoRA without its configuration": (_dora_without_its_config, "DoRA"),
    "DoRA by its header": (_with(lambda held: {}, {"lora_adapter_metadata": DORA}), "DoRA"),
    "DoRA by kohya": (_with(lambda held: {Q + "dora_scale": torch.ones(24, 1)}), "DoRA"),
    "biases": (_peft_kind(bias="all"), "biases"),
    "modules to save": (_peft_kind(modules_to_save=["proj_out"], target_modules=["to_q"]), "modules_to_save"),
    "PiSSA": (_peft_kind(init_lora_weights="pissa"), "pissa"),
    "LoHa": (_with(lambda held: {Q + "hada_w1_a": torch.ones(24, 4)}), "LoHa"),
    "LoKr": (_with(lambda held: {"lycoris_blocks_0_attn1_to_q.lokr_w1": torch.ones(4, 4)}), "LoKr"),
    "Tucker": (_with(lambda held: {Q + "lora_mid.weight": torch.ones(4, 4)}), "LoCon with a middle"),
    "OFT": (_with(lambda held: {Q + "oft_R.weight": torch.ones(4, 4)}), "OFT"),
    "IA3": (_with(lambda held: {Q + "ia3_l": torch.ones(24, 1)}), "IA3"),
    "a whole weight": (_with(lambda held: {Q + "weight": torch.ones(24, 24)}), "is not LoRA"),
    "something new": (_with(lambda held: {Q + "lora_gate": torch.ones(24)}), "is not LoRA"),
}
"""What must be refused, also in part -> how it is written, and what the sentence says."""


def make(kind: str, folder: Path) -> tuple[Path, Tensor]:
    """Write a file of one of `KINDS` or `NAMINGS` into an empty folder.

    Args:
        kind: its name.
        folder: there and empty.

    Returns:
        The path, and the output of PEFT's own model.
    """
    config, write = (ONE, NAMINGS[kind]) if kind in NAMINGS else KINDS[kind][:2]
    model = peft_model(**config)
    return write(model, folder), run(model)


def scale(config: dict[str, Any], rank: int = 4, alpha: float = 16) -> float:
    """By what PEFT multiplies B A, where no pattern says otherwise."""
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
