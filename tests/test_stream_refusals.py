"""pytest tests/test_stream_refusals.py: what cannot be streamed gets one sentence, before any call of the model."""

import pytest
from test_stream import FAST, Told, model, picture

import pusa_lab as pl
from pusa_lab import solvers, tasks


class Sticky:
    """A solver of one's own that keeps what cannot move."""

    def init_state(self):
        return solvers.euler


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"schedule": "synchronous"}, "synchronous never finishes a window, as all frames are final at the same row 4"),
        ({"schedule": "trapezoid"}, "no steady window, as frame 257 is final at row 258, before frame 256"),
        ({"schedule": "repaint"}, "repaint goes back up"),
        ({"schedule": "hold"}, "frame 0 at 0 in row 0, but the task alone sets"),
        ({"schedule": [[1, 1], [0.5, 1]], "steps": None}, "never finishes: its frame 0 is at 0.5 in the last row, 1"),
        (
            {"schedule": [[1, 1], [0, 0.5]], "steps": None},
            "moves on by a frame: its frame 0 is at 1 .* start it at 0.5",
        ),
        ({"schedule": [[[1.0], [0]]] * 2, "steps": None}, "schedules for 2 samples: a stream is one video"),
        ({"schedule": [[1.0], [0]]}, "steps=4 with a matrix"),
        ({"schedule": "wave"}, "unknown schedule 'wave'"),
        ({"schedule": "pyramid", "steps": 9}, r"frames 0\.\.8 are in progress at row 8, which is 9 for a window of 6"),
        ({"overlap": 6}, "overlap=6 in a window of 6 latent frames: give 0 to 5"),
        ({"overlap": 3}, r"frames 0\.\.3 .* row 3, which is 4, 7 with an overlap of 3, .* overlap of at most 2"),
        ({"overlap": -1}, "overlap=-1"),
        ({"latent_frames": 2}, "a window of 2: give latent_frames=4"),
        ({"latent_frames": 10**9}, "latent_frames=1000000000"),
        ({"steps": 0}, "steps=0"),
        ({"solver": Sticky()}, "solver Sticky keeps a memory that cannot move .* at row 6 frame 0 leaves the window"),
        ({"solver": Sticky(), "overlap": 1}, "at row 5 frame 0 leaves the window"),
        ({"solver": "magic"}, "unknown solver"),
        ({"guidance": "apg(scale=2, momentum=-0.5)"}, "keeps a velocity of the row before"),
        ({"negative_prompt": "a"}, "negative_prompt has no effect without guidance"),
        ({"prompt": 3}, "prompt is 3"),
        ({"prompt": []}, "no prompt was given"),
        ({"prompt": ["a", 3]}, "prompt"),
        ({"prompt": lambda frame: frame}, "prompt, for frame 0, returned 0"),
        ({"task": tasks.start_end(picture(1), picture(2))}, "a known frame at=-1, but a stream has no end"),
        (
            {"task": tasks.Task("a", (tasks.Known(picture(1), 1, noise=0.3, mode="hold"),))},
            "frame 1 is at noise 0.3 in",
        ),
        ({"seed": "a"}, "seed is 'a'"),
        ({"output": "film"}, "output is 'film'"),
        ({"model": None}, "model is None"),
    ],
)
def test_bad_requests_get_a_sentence_before_any_call(options, says):
    m = model()
    with pytest.raises(ValueError, match=rf"^stream: .*{says}"):
        pl.stream(**{"model": m, "prompt": "", "schedule": "rolling", "guidance": 1.0, "steps": 4, **options})
    assert m.asked == []


def test_a_picture_that_is_an_input_cannot_be_streamed():
    m = model()
    m.picture_input = "image"
    with pytest.raises(ValueError, match=r"takes its first picture as an input of every call \(image\)"):
        pl.stream(m, "", **FAST)


def test_all_words_of_a_list_are_read_first():
    m = Told()
    with pytest.raises(ValueError, match="unknown word: horse"):
        pl.stream(m, ["1"] * 40 + ["horse"], **FAST)
    assert m.asked == []


def test_a_velocity_that_is_not_finite_is_said_with_its_row():
    m = model()
    m.gauss = lambda x, tau: x / (len(m.asked) < 6)
    stream = pl.stream(m, "", schedule="autoregressive", **FAST)
    assert next(stream).at == range(1)
    with pytest.raises(ValueError, match=r"^stream: the denoiser returned NaN or infinity on the way to row 6"):
        next(stream)
