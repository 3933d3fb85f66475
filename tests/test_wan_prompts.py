"""Captions through UMT5: encoded once, kept apart, cut where they are too long."""

import pytest
import torch
from wan_tiny import pipeline

from pusa_lab.wan.prompts import PromptEncoder


class TestPrompts:
    def encoder(self, cache, log, identity="one"):
        pipe = pipeline()
        return PromptEncoder(lambda: log.append(1) or (pipe.tokenizer, pipe.text_encoder), identity, cache)

    def test_each_caption_is_encoded_once_ever(self, tmp_path):
        log = []
        first = self.encoder(tmp_path, log)(["a dog", "", "a dog"])
        again = self.encoder(tmp_path, log)(["", "a  dog"])
        assert log == [1]
        assert torch.equal(again, first[[1, 0]])

    def test_another_encoder_has_its_own(self, tmp_path):
        log = []
        self.encoder(tmp_path, log)(["a dog"])
        self.encoder(tmp_path, log, "two")(["a dog"])
        assert log == [1, 1]

    def test_a_spoilt_file_is_written_anew(self, tmp_path):
        log = []
        want = self.encoder(tmp_path, log)(["a dog"])
        (file,) = tmp_path.iterdir()
        file.write_bytes(file.read_bytes()[:20])
        assert torch.equal(self.encoder(tmp_path, log)(["a dog"]), want)
        self.encoder(tmp_path, log)(["a dog"])
        assert log == [1, 1]

    def test_a_long_caption_is_cut_and_told(self, tmp_path):
        with pytest.warns(UserWarning, match=r"a caption of 602 tokens is cut to 512: 'aaaa"):
            assert self.encoder(tmp_path, [])(["a" * 600]).shape == (1, 512, 16)
