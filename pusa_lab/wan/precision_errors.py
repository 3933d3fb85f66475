"""What float8 costs in accuracy: the error of every layer that would multiply in float8, and of the whole output."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from pusa_lab.arguments import checked
from pusa_lab.sentences import counted
from pusa_lab.wan.precision import RowScaledLinear, check_plain, large_linears

INPUTS = ("hidden_states", "timestep", "encoder_hidden_states")
"""Names of the inputs."""
HEAD = ["layer", "blocks", "mean", "largest", "in block"]


@dataclass(frozen=True)
class Float8Errors:
    """Relative errors of float8 against bfloat16, roots of mean squares; print it for a table."""

    layers: dict[str, float]
    """Of each layer alone, on its bfloat16 inputs, by path."""
    output: float
    """Of the whole output, all of these layers in float8."""

    @property
    def kinds(self) -> dict[str, dict[str, float]]:
        """The same layers of all blocks together: how many, mean and largest error, and the block of the largest."""
        found: dict[str, dict[int, float]] = {}
        for path, error in self.layers.items():
            _, block, kind = path.removesuffix(".base_layer").split(".", 2)
            found.setdefault(kind, {})[int(block)] = error
        return {
            kind: {
                "blocks": len(of),
                "mean": sum(of.values()) / len(of),
                "largest": max(of.values()),
                "in block": max(of, key=lambda block: of[block]),
            }
            for kind, of in found.items()
        }

    def _rows(self) -> list[list[str]]:
        rows = [
            [kind, f"{of['blocks']}", f"{of['mean']:.2%}", f"{of['largest']:.2%}", f"{of['in block']}"]
            for kind, of in self.kinds.items()
        ]
        return [*rows, ["output", "", f"{self.output:.2%}", "", ""]]

    def __str__(self) -> str:
        rows = [HEAD, *self._rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = (
            "  ".join([row[0].ljust(widths[0]), *(text.rjust(n) for text, n in zip(row[1:], widths[1:], strict=True))])
            for row in rows
        )
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        """Shown in a notebook."""
        title = "relative errors of float8 against bfloat16"
        return str(import_module("pusa_lab.html").table_html(title, HEAD, self._rows()))


@checked
@torch.no_grad()
def float8_errors(transformer: nn.Module, *inputs: Tensor, seed: int = 0) -> Float8Errors:
    """Measure what `use_float8` would change in each layer and in the output; the model is left as it is.

    error = |y_float8 - y| / |y|, of a layer on the inputs that it has in bfloat16, and of the output with all layers

    Each layer is quantised when it is reached, so that this takes the memory of one layer more, and two forwards.

    Args:
        transformer: a Wan in bfloat16, with or without attached adapters, neither compiled nor offloaded.
        *inputs: latents (b, c, f, h, w), 1000 tau (b, f) in [0, 1000] and embeddings (b, n, d) of captions; left out,
            random ones of 5 latent frames of 32 x 32.
        seed: of the random ones.

    Raises:
        ValueError: the inputs are not three, the model already multiplies in float8, or it is compiled or offloaded.
    """
    call = "float8_errors(transformer)"
    check_plain(transformer, call)
    if len(inputs) not in (0, 3):
        given = counted(len(inputs), "input")
        raise ValueError(f"{call} with {given}: give {', '.join(INPUTS)}, or none for random ones.")
    linears = large_linears(transformer)
    if any(isinstance(layer, RowScaledLinear) for layer in linears.values()):
        raise ValueError(f"{call} of a model in float8: load it without precision=, whose numbers are compared with.")
    inputs = inputs or _random_inputs(transformer, seed)
    names: dict[Any, str] = {layer: path for path, layer in linears.items()}
    layers = {}

    def measure(layer: nn.Linear, given: tuple[Tensor, ...], y: Tensor) -> None:
        layers[names[layer]] = relative_error(RowScaledLinear(layer)(*given), y)

    def replace(layer: nn.Linear, given: tuple[Tensor, ...], y: Tensor) -> Tensor:
        return RowScaledLinear(layer)(*given)

    outputs = []
    for hook in (measure, replace):
        with _hooked(linears.values(), hook):
            outputs.append(transformer(*inputs, return_dict=False)[0])
    return Float8Errors(layers, relative_error(outputs[1], outputs[0]))


@checked
def relative_error(y: Tensor, exact: Tensor) -> float:
    """Root of the mean squared difference, over that of the exact numbers.

    Args:
        y: of any shape.
        exact: of the same shape.

    Raises:
        ValueError: the shapes differ.
    """
    if y.shape != exact.shape:
        raise ValueError(f"y of shape {tuple(y.shape)} and exact of {tuple(exact.shape)}: give two of the same.")
    return ((y.float() - exact.float()).norm() / exact.float().norm()).item()


@contextmanager
def _hooked(layers: Any, hook: Callable[..., Any]) -> Iterator[None]:
    handles = [layer.register_forward_hook(hook) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _random_inputs(transformer: Any, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    config, g = transformer.config, torch.Generator().manual_seed(seed)
    place = {"device": transformer.device, "dtype": transformer.dtype}
    x = torch.randn(1, config.in_channels, 5, 32, 32, generator=g)
    text = torch.randn(1, 512, config.text_dim, generator=g)
    return x.to(**place), 1000 * torch.rand(1, 5, generator=g).to(transformer.device), text.to(**place)
