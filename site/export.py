"""The nano toys as ONNX files, for the page; of any other toy too, such as mini-vta, with its codec's decoder.

python site/export.py
"""

import argparse
from pathlib import Path
from unittest import mock

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

import small_models
from pusa_lab.files import digest
from pusa_lab.models import VideoModel
from small_models.models.zoo import find_checkpoint

MODELS = Path(__file__).parent / "models"
NAMES = ("nano-vta", "nano-base")
OPSET = 20
"""The newest that onnxruntime-web 1.30 runs and that PyTorch writes."""
LARGE = 1000
"""Numbers from which a weight is stored in half precision, if it loses nothing so, as the checkpoints store it."""


class Decoder(nn.Module):
    """What makes pictures of a toy's latents."""

    def __init__(self, model: VideoModel):
        super().__init__()
        self.codec = model.codec

    def forward(self, x: Tensor) -> Tensor:
        """x (b, c, f, h, w) -> pixels (b, 3, pf, hp, wp)."""
        return self.codec.decode(x)


class Whole(nn.Module):
    """A toy's two networks in one: latents, timesteps and the words' indices to the velocity."""

    def __init__(self, model: VideoModel):
        super().__init__()
        self.text, self.dit = model.text, model.dit

    def forward(self, x: Tensor, tau: Tensor, tokens: Tensor) -> Tensor:
        """x (b, c, f, h, w), tau (b, f), tokens (b, l) int32 -> v (b, c, f, h, w)."""
        return self.dit(x, tau, self.text(tokens))


def export(name: str) -> onnx.ModelProto:
    """A shipped toy as ONNX, for any batch: inputs x, tau and tokens, output v; its checkpoint's digest inside.

    Args:
        name: one of NAMES.
    """
    model = small_models.load(name, device="cpu")
    # In evaluation PyTorch's encoder layer is one fused operation, for which ONNX has none; nothing drops out here.
    whole = Whole(model).train()
    frames = model.geometry.frames
    inputs = (torch.zeros(model.geometry.latent_shape(2, frames)), torch.zeros(2, frames))
    inputs = (*inputs, torch.zeros(2, model.text.longest, dtype=torch.int32))
    batch = torch.export.Dim("batch", min=1, max=64)
    words = {"input_names": ["x", "tau", "tokens"], "output_names": ["v"], "opset_version": OPSET}
    program = torch.onnx.export(whole, inputs, dynamo=True, dynamic_shapes=({0: batch},) * 3, verbose=False, **words)
    return finished(program.model_proto, name)


def export_decoder(name: str) -> onnx.ModelProto:
    """The decoder of a toy's codec as ONNX, for one clip: input x, output pixels.

    Args:
        name: of a toy in latents, such as "mini-vta".
    """
    model = small_models.load(name, device="cpu")
    inputs = (torch.zeros(model.geometry.latent_shape(1, model.geometry.frames)),)
    words = {"input_names": ["x"], "output_names": ["pixels"], "opset_version": OPSET}
    # The codec's faster way for a single clip is an operation of this processor, for which ONNX has none.
    with mock.patch.object(torch.backends.mkldnn, "is_available", return_value=False):
        program = torch.onnx.export(Decoder(model).eval(), inputs, dynamo=True, verbose=False, **words)
    return finished(program.model_proto, name)


def finished(found: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """A model without notes, small, checked, and with the digest of the checkpoint that it is of."""
    bare(found)
    halve(found)
    helper.set_model_props(found, {"checkpoint": name, "sha256": digest(find_checkpoint(name))})
    onnx.checker.check_model(found, full_check=True)
    return found


def bare(found: onnx.ModelProto) -> None:
    """Take out what was noted of every line of Python, which is a quarter of the file."""
    for part in (found, found.graph, *found.graph.node, *found.graph.value_info, *found.graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    for part in (*found.graph.input, *found.graph.output):
        del part.metadata_props[:]
    del found.graph.value_info[:]


def halve(found: onnx.ModelProto) -> None:
    """Store weights in half precision that lose nothing by it, and cast them back where the network starts."""
    casts = []
    for weight in found.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < LARGE or not (values.astype(np.float16) == values).all():
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [weight.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *found.graph.node]
    del found.graph.node[:]
    found.graph.node.extend(nodes)


def main() -> None:
    """Write the files that site/build.mjs puts into the page."""
    told = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    told.add_argument("--out", type=Path, default=MODELS, help="folder")
    out = told.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        onnx.save(export(name), out / f"{name}.onnx")


if __name__ == "__main__":
    main()
