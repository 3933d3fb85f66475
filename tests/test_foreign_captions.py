"""pytest tests/test_foreign_captions.py: captions as other programs write them: word for word, or refused."""

import pytest
from foreign import captions
from wan_tiny import refused

from pusa_lab.data import find_clips
from small_models.training.data import folder_captions


@pytest.fixture
def folder(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"not opened")
    return tmp_path


def said(folder, need_captions=True):
    return {
        clip.name: f"!{clip.problem}" if clip.problem else clip.caption for clip in find_clips(folder, need_captions)
    }


def agrees(got, want):
    return got.keys() == want.keys() and all(
        got[name].startswith(text) if text.startswith("!") else got[name] == text for name, text in want.items()
    )


@pytest.mark.parametrize("kind", captions.TABLES)
def test_tables_are_read_word_for_word(folder, kind):
    want = captions.TABLES[kind](folder)
    assert agrees(said(folder), want)
    optional = [("" if "no caption" in text else text) for text in want.values()]
    assert folder_captions(folder) == [text for text in optional if not text.startswith("!")]


@pytest.mark.parametrize("kind", captions.REFUSED)
def test_tables_that_could_be_misread_are_refused(folder, kind):
    make, sentence = captions.REFUSED[kind]
    make(folder)
    for read in (find_clips, folder_captions):
        refused(f"cannot be read .*{sentence}.*give rows with `file` and `caption`", read, folder)


@pytest.mark.parametrize("kind", captions.TEXTS)
def test_texts_beside_clips(folder, kind):
    content, names, want = captions.TEXTS[kind]
    captions.beside(folder, content, names=names)
    got = said(folder)
    assert agrees(got, {"a.mp4": want, "b.mp4": captions.PLAIN})


def test_texts_that_differ_in_the_case_of_letters_only(folder):
    captions.beside(folder, b"one", b"two", names=("A.txt", "a.TXT"))
    assert said(folder)["a.mp4"] == "two"  # the very name
    (folder / "a.TXT").rename(folder / "A.TXT")
    assert said(folder)["a.mp4"] == "!has captions that differ, in A.TXT and in A.txt: keep one of them."
    (folder / "A.TXT").write_text("one")
    assert said(folder)["a.mp4"] == "one"


def test_large_tables_are_refused_by_their_size(folder, monkeypatch):
    monkeypatch.setattr("pusa_lab.data.captions.MOST_TABLE", 100)
    (folder / "captions.csv").write_text("file,caption\n" + "a.mp4,x\n" * 20)
    refused("captions.csv cannot be read .*more than 100 bytes", find_clips, folder)


def test_clips_without_a_word_where_none_is_needed(folder):
    assert said(folder, need_captions=False) == {"a.mp4": "", "b.mp4": ""}
    assert folder_captions(str(folder)) == ["", ""]


@pytest.mark.parametrize("folder", [None, 7, [], b"x", ""])
def test_what_is_no_folder_gets_a_sentence(folder):
    refused(r"^data\.find_clips: .*give", find_clips, folder)
