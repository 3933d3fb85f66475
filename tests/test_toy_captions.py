"""pytest tests/test_toy_captions.py: what is no list of captions gets one sentence from both kinds of encoders."""

import pytest
import torch
from wan_tiny import refused

import pusa_lab as pl
from pusa_lab.wan.prompts import PromptEncoder


@pytest.mark.parametrize("prompts", [[], "a red square"])
def test_what_is_no_list_of_captions(prompts):
    wan = PromptEncoder(lambda: pytest.fail("it was loaded"), "identity", None)
    for encode in (pl.load("nano-vta", device="cpu").encode_text, wan):
        refused("prompts is .*: give a list", encode, prompts)


def test_a_folder_with_another_model_is_not_called_missing(tmp_path):
    (tmp_path / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    refused("which is a folder with a model of another kind", pl.load, tmp_path)


def test_a_caption_in_a_list_is_read():
    assert isinstance(pl.load("nano-vta", device="cpu").encode_text(["a red circle"])["text"], torch.Tensor)
