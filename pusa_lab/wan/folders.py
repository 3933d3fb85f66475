"""Wan's folders as published for diffusers: finding them, and checking them before gigabytes are read."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.files import content_digest, digest
from pusa_lab.sentences import counted, shown
from pusa_lab.wan.headers import WeightFile, read_header, read_object, weight_files

PARTS = {
    "transformer": "the video transformer",
    "vae": "the codec",
    "text_encoder": "UMT5, which reads captions",
    "tokenizer": "UMT5's vocabulary",
}
"""Folder of each part -> what it holds; models with two experts also have transformer_2."""
KINDS = {
    "transformer": ("_class_name", ("WanTransformer3DModel", "VTAWanTransformer3DModel")),
    "transformer_2": ("_class_name", ("WanTransformer3DModel", "VTAWanTransformer3DModel")),
    "vae": ("_class_name", ("AutoencoderKLWan",)),
    "text_encoder": ("model_type", ("umt5",)),
}
"""Part -> key of its config that names its class, and the accepted values."""
_TRANSFORMER = "patch_size num_attention_heads attention_head_dim in_channels out_channels text_dim ffn_dim num_layers"
NEEDED = {
    "transformer": tuple(_TRANSFORMER.split()),
    "transformer_2": tuple(_TRANSFORMER.split()),
    "vae": ("z_dim",),
    "text_encoder": ("d_model", "vocab_size", "num_layers"),
}
"""Part -> sizes that its config must give."""
STRIDES, MOMENTS = ("scale_factor_temporal", "scale_factor_spatial"), ("latents_mean", "latents_std")
"""Entries of the codec's config: positive whole numbers, and lists with one number per channel."""
EPSILONS = ("eps", "layer_norm_epsilon")
"""Entries that keep the division by a norm finite."""
LARGEST_SIZES = {
    "num_layers": 512,
    "num_decoder_layers": 512,
    "num_res_blocks": 64,
    "num_attention_heads": 1024,
    "num_heads": 1024,
    "attention_head_dim": 4096,
    "rope_max_seq_len": 65536,
    "in_channels": 65536,
    "out_channels": 65536,
    "z_dim": 65536,
    "base_dim": 65536,
    "vocab_size": 2**22,
}
"""Upper bounds of whole numbers in a config, far above every published Wan."""
LARGEST_NUMBER, LONGEST_LIST = 2**20, 4096
"""Upper bounds of other whole numbers, and of the length of a list."""
VOCABULARIES = ("tokenizer.json", "spiece.model")
"""Files of UMT5's vocabulary; one of them is enough."""
TOKENIZER = (*VOCABULARIES, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
"""Files on which the tokens of a caption depend."""


@dataclass(frozen=True)
class Folder:
    """A checked folder: every part is there and of the right kind, and every requested file is complete.

    Its JSON files and the headers of its weights have been read once, and loading goes by what they held then. Only the
    libraries that build a part, diffusers and transformers, open the files of that part themselves.
    """

    path: Path
    """Path of the folder."""
    index: dict[str, Any]
    """Content of its model_index.json."""
    configs: dict[str, bytes] = field(repr=False)
    """Part -> its config.json, as it is in the file."""
    files: dict[str, list[WeightFile]] = field(default_factory=dict, repr=False)
    """Part -> its files of weights; empty if they were not checked."""
    _identities: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def parameters(self) -> dict[str, int]:
        """Part -> number of its weights; empty if they were not checked."""
        return {part: sum(file.parameters for file in files) for part, files in self.files.items()}

    @property
    def experts(self) -> list[str]:
        """Folders of the transformers; of two experts, the one for high noise comes first."""
        return ["transformer", "transformer_2"] if _two(self.index) else ["transformer"]

    def config(self, part: str) -> dict[str, Any]:
        """The config.json of a part.

        Args:
            part: one of `PARTS`, or transformer_2.
        """
        return json.loads(self.configs[part])

    def shapes(self, part: str) -> dict[str, tuple[int, ...]]:
        """Name of each weight of a part -> its shape.

        Args:
            part: one of `PARTS`, or transformer_2.
        """
        return {name: shape for file in self._checked(part) for name, shape in file.shapes.items()}

    def identity(self, part: str) -> str:
        """Digest of a part's config and of samples of its files, one from the middle of every tensor among them.

        That of the text encoder also depends on the tokenizer.

        Args:
            part: one of `PARTS`, or transformer_2.
        """
        if part not in self._identities:
            self._identities[part] = content_digest(self._identified(part))[:16]
        return self._identities[part]

    def _checked(self, part: str) -> list[WeightFile]:
        if part not in self.files:
            raise ValueError(f"the weights of {self.path / part} were not checked: use folders.with_weights first.")
        return self.files[part]

    def _identified(self, part: str) -> Iterable[str | bytes]:
        yield self.configs[part]
        for file in self._checked(part):
            yield f"{file.path.name} {file.path.stat().st_size}"
            yield from file.samples()
        for name in TOKENIZER if part == "text_encoder" else ():
            if (path := self.path / "tokenizer" / name).is_file():
                yield f"{name} {digest(path)}"


@checked
def find_folder(source: str | Path, weights: bool = True) -> Path:
    """Return the local folder of a model; a repository is downloaded from the Hugging Face Hub, safetensors only.

    Args:
        source: a folder, or the name of a repository, such as Wan-AI/Wan2.1-T2V-14B-Diffusers.
        weights: False downloads only configs and tokenizer, a few megabytes, so that they can be checked first.

    Raises:
        ValueError: there is no such folder, and no such repository can be downloaded.
    """
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = ["*.json", "tokenizer/*", *(["*.safetensors"] if weights else [])]
    try:
        return Path(snapshot_download(str(source), allow_patterns=wanted))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ValueError(
            f"{source} is not a folder, and the Hugging Face Hub did not provide it ({type(error).__name__}): "
            f"give a folder in diffusers' layout, or a name such as Wan-AI/Wan2.1-T2V-1.3B-Diffusers."
        ) from error


@checked
def check_wan_folder(path: Path, weights: bool = True) -> Folder:
    """Check that a folder holds a complete text-to-video Wan, and that no file is truncated.

    Args:
        path: of the folder.
        weights: False checks only the layout and the configs.

    Raises:
        ValueError: a part or a shard is missing or truncated, a config is invalid, or the model is of another kind.
    """
    if not (path / "model_index.json").is_file():
        raise ValueError(
            f"{path} has no model_index.json: give a folder in diffusers' layout (Wan-AI's repositories ending in "
            f"-Diffusers); in Python, WanModel.from_pipeline takes a pipeline of your own."
        )
    index, _ = read_object(path / "model_index.json")
    boundary = index.get("boundary_ratio")
    if boundary is not None and not (_finite(boundary) and 0 <= boundary <= 1):
        raise ValueError(f"{path / 'model_index.json'} gives boundary_ratio as {boundary!r:.60}: give 0 to 1, or null.")
    names = PARTS | ({"transformer_2": "the transformer for low noise"} if _two(index) else {})
    for name, what in names.items():
        if not (path / name).is_dir():
            raise ValueError(f"{path} has no folder {name} ({what}): download the whole repository again.")
    _check_tokenizer(path / "tokenizer")
    parts = [name for name in names if name != "tokenizer"]
    found = Folder(path, index, {name: _checked_config(path / name, name) for name in parts})
    _check_together(found)
    return with_weights(found, path) if weights else found


@checked
def with_weights(folder: Folder, path: Path) -> Folder:
    """Return the same folder with the headers of its weights; what has been read of it is not read again.

    Args:
        folder: from `check_wan_folder`.
        path: where its weights are now; a folder elsewhere is checked as a whole.

    Raises:
        ValueError: as `check_wan_folder`.
    """
    if path != folder.path:  # the repository has changed since its configs were downloaded
        return check_wan_folder(path)
    return replace(folder, files={k: [read_header(file) for file in weight_files(path / k)] for k in folder.configs})


def _two(index: dict[str, Any]) -> bool:
    """Whether the index names a second transformer, as [library, class] instead of [null, null]."""
    second = index.get("transformer_2")
    return isinstance(second, list) and bool(second) and bool(second[0])


def _check_tokenizer(place: Path) -> None:
    if not any((place / name).is_file() for name in VOCABULARIES):
        raise ValueError(f"{place} has neither {' nor '.join(VOCABULARIES)}: download the whole repository again.")
    for name in ("tokenizer_config.json", "config.json"):
        config = read_object(place / name)[0] if (place / name).is_file() else {}
        longest = config.get("model_max_length")
        if longest is not None and not (_finite(longest) and longest >= 1):
            raise ValueError(
                f"{place / name} gives model_max_length as {longest!r:.60}, not as a number of tokens: restore it."
            )
        if config.get("auto_map"):
            raise ValueError(
                f"{place / name} asks to run code that came with it (auto_map), which is never done: use the folder "
                f"tokenizer of Wan-AI/Wan2.1-T2V-1.3B-Diffusers instead."
            )


def _checked_config(place: Path, part: str) -> bytes:
    config, content = read_object(place / "config.json")
    key, kinds = KINDS[part]
    if (named := config.get(key)) not in kinds:
        kind = named[:60] if isinstance(named, str) else f"unknown ({key} is missing)"
        raise ValueError(
            f"{place} is of kind {kind}, but {kinds[0]} is expected: give a text-to-video Wan, "
            f"such as Wan-AI/Wan2.1-T2V-1.3B-Diffusers."
        )
    if missing := [name for name in NEEDED[part] if config.get(name) is None]:
        raise ValueError(f"{place / 'config.json'} gives no {', '.join(missing)}: download it again.")
    _check_sizes(config, place / "config.json", part)
    return content


def _check_sizes(config: dict[str, Any], file: Path, part: str) -> None:
    """Refuse sizes that are not positive whole numbers, or so large that building the model could take all memory."""
    needed = NEEDED[part]
    for name, value in config.items():
        values = value if isinstance(value, list) else [value]
        if len(values) > LONGEST_LIST:
            raise ValueError(
                f"{file} gives {counted(len(values), 'value')} as {name}, more than {LONGEST_LIST}: restore it."
            )
        if name in needed and (name == "patch_size") != isinstance(value, list):
            raise ValueError(f"{file} gives {name} as {value!r:.60}: restore it.")
        for number in values:
            counts = isinstance(number, int) and not isinstance(number, bool)
            if name in needed and not (counts and number > 0):
                raise ValueError(f"{file} gives {name} as {value!r:.60}, not as a positive whole number: restore it.")
            if counts and abs(number) > LARGEST_SIZES.get(name, LARGEST_NUMBER):
                most = LARGEST_SIZES.get(name, LARGEST_NUMBER)
                raise ValueError(f"{file} gives {name} as {shown(number)}, more than {most}: restore it.")
    if part == "vae":
        _check_codec(config, file)
    for name in (name for name in config if "dropout" in name):
        if (value := config[name]) is not None and not (_finite(value) and 0 <= value <= 1):
            raise ValueError(f"{file} gives {name} as {value!r:.60}, not as a number from 0 to 1: restore it.")
    for name in EPSILONS:
        if (value := config.get(name)) is not None and not (_finite(value) and 0 < value < 1):
            raise ValueError(f"{file} gives {name} as {value!r:.60}, not as a small positive number: restore it.")
    if (value := config.get("attention_head_dim")) is not None and type(value) is int and value % 2:
        raise ValueError(f"{file} gives attention_head_dim as {value}, which is odd: restore it.")
    if "patch_size" in needed and len(config["patch_size"]) != 3:
        raise ValueError(f"{file} gives patch_size as {config['patch_size']!r:.60}, not as three numbers: restore it.")


def _check_codec(config: dict[str, Any], file: Path) -> None:
    for name in STRIDES:
        if (value := config.get(name)) is not None and (type(value) is not int or value < 1):
            raise ValueError(f"{file} gives {name} as {value!r:.60}, not as a positive whole number: restore it.")
    for name in MOMENTS:
        value, count = config.get(name), config["z_dim"]
        if value is not None and not (isinstance(value, list) and len(value) == count and all(map(_finite, value))):
            raise ValueError(
                f"{file} gives {name} as {value!r:.60}, not as {counted(count, 'finite number')}: restore it."
            )
        if value is not None and name == "latents_std" and min(value) < 1e-6:
            raise ValueError(f"{file} gives {name} as {value!r:.60}, but latents are divided by it: restore it.")
    several = config.get("dim_mult", [1])
    if not isinstance(several, list) or not several or not all(type(n) is int and n > 0 for n in several):
        raise ValueError(f"{file} gives dim_mult as {several!r:.60}, not as positive whole numbers: restore it.")


def _finite(number: Any) -> bool:
    return isinstance(number, int | float) and not isinstance(number, bool) and abs(number) < math.inf


def _check_together(folder: Folder) -> None:
    made = folder.config("text_encoder")["d_model"]
    for name in folder.experts:
        if (read := folder.config(name)["text_dim"]) != made:
            fault = f"{folder.path} has a text encoder {made} wide, but its {name} reads {read}"
            raise ValueError(f"{fault}: give the parts of one model.")
