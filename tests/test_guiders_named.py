"""pytest tests/test_guiders_named.py: guiders written as text, and as an argument of generate."""

import functools
import re
from functools import partial
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import torch
from test_guidance import FAR, FRAMES
from test_guiders import CAPTION, COV, Skipping, scene
from test_policies import GAUSS, GaussianVideo

import pusa_lab as pl
from pusa_lab import guidance, registry, schedules, solvers, tasks
from pusa_lab.guidance import apg, cfg_zero_star, chain, guide, guider_named, picture_guidance, text_cfg


def test_a_guider_can_be_written_as_text():
    x, given = scene()
    tau = torch.tensor([[0.0, 0.2, 0.7, 0.9, 1.0]], dtype=torch.float64).expand(3, -1)
    pairs = {
        "apg(scale=5, eta=0.2)": partial(apg, scale=5, eta=0.2),
        "text_cfg(scale=[1, 2, 3, 4, -5], interval=(0.1, 0.8))": partial(
            text_cfg, scale=torch.tensor([1.0, 2, 3, 4, -5]), interval=(0.1, 0.8)
        ),
        "picture_guidance(scale=1.5) | cfg_zero_star(scale=3, zero_from=None) | apg(scale=1.5)": chain(
            partial(picture_guidance, scale=1.5),
            partial(cfg_zero_star, scale=3, zero_from=None),
            partial(apg, scale=1.5),
        ),
    }
    for text, guider in pairs.items():
        found, want = (guide(g, Skipping(), **given)(x, tau, **CAPTION) for g in (guider_named(text), guider))
        assert torch.equal(found, want)


@pytest.mark.parametrize(
    "text",
    [
        *("", "3", "apg(scale=1", "apg(**{})", "a.apg()", "apg + apg"),
        *("\0", "|".join(["apg(scale=2)"] * 2000), "(" * 5000),
    ],
)
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match=r"guidance is .*give a number, or one of text_cfg, apg.* joined by \|"):
        guider_named(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nonsense", "picture_guidance. Or give a number."),
        ("apg(skale=3)", "the guider apg has no setting 'skale': did you mean 'scale'? Its settings are scale, eta"),
        ("apg |", "a guider is missing beside a |: give one, or leave out the |."),
        ("| apg(scale=2)", "a guider is missing beside a |: give one, or leave out the |."),
        ("apg(scale=3, scale=4)", "the guider apg is given scale more than once: give it once."),
        ("apg", "the guider apg needs scale: set it, as in 'apg(scale=...)' or partial(apg, scale=...)."),
        ("apg(5)", "the guider apg takes its settings by name: write scale=5."),
        ("apg(scale=x)", "the guider apg: scale=x: give a value as Python writes it"),
        ("apg(scale=__import__('os'))", "the guider apg: scale=__import__('os'): give a value as Python writes it"),
        ("apg(scale=nan)", "the guider apg: scale=nan: give finite numbers."),
        ("apg(scale=[1, -inf])", "the guider apg: scale=[1, -inf]: give finite numbers."),
        ("text_cfg(scale=2) | apg(denoiser=3)", "the guider apg has no setting 'denoiser': its settings are scale"),
    ],
)
def test_settings_that_do_not_fit_are_told_in_one_sentence(text, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        guider_named(text)
    assert str(caught.value).startswith(f"guidance.guider_named: guidance={text!r}: ")


def test_a_guider_without_its_settings_or_with_others_is_refused():
    _, given = scene()
    for guider, says in {
        apg: r"apg needs scale: set it, as in 'apg\(scale=...\)' or partial",
        partial(apg): "apg needs scale",
        partial(apg, scale=3, colour=1): "apg has no setting 'colour': its settings are scale, eta, thr",
        partial(apg, scal=3): r"apg has no setting 'scal': did you mean 'scale'\? Its settings are scale, eta",
        lambda a, b: a: "<lambda> needs b",
    }.items():
        with pytest.raises(ValueError, match=f"the guider {says}"):
            guide(guider, Skipping(), **given)
    with pytest.raises(ValueError, match="the guider apg: scale is 'much'"):
        guide(guider_named("text_cfg(scale=2) | apg(scale='much')"), Skipping(), **given)
    with pytest.raises(ValueError, match=r"the guider <lambda> returned 3 \(an int\): it must return a function"):
        guide(lambda denoiser: 3, Skipping(), **given)
    for module in (torch.nn.Linear(1, 1), partial(torch.nn.Identity()), chain(torch.nn.Sequential(torch.nn.ReLU()))):
        with pytest.raises(
            ValueError, match=r"the guider \w+ is a module: give a function \(denoiser, ...\) -> denoiser"
        ):
            guide(module, Skipping(), **given)


def test_a_guider_may_set_what_is_given_itself():
    x, given = scene()
    tau = torch.ones(3, FRAMES, dtype=torch.float64)
    other = {"mean": FAR + 1, "cov": COV}
    found = guide(partial(text_cfg, null=other, scale=2.0), Skipping(), **given)(x, tau, **CAPTION)
    assert torch.equal(found, text_cfg(Skipping(), other, 2.0)(x, tau, **CAPTION))


# As an argument of generate.

ALL = {
    "text_cfg": "text_cfg(scale=3, rescale=0.5, interval=(0.1, 0.9))",
    "apg": "apg(scale=5, threshold=20, momentum=-0.5)",
    "cfg_zero_star": "cfg_zero_star(scale=3, by_frame=True)",
    "skip_layer_guidance": "skip_layer_guidance(layers=[-1], weight=1.5, scale=2)",
    "history_guidance": partial(guidance.history_guidance, terms=guidance.fractional([0], 0.3, 1.5)),
    "picture_guidance": "picture_guidance(scale=1.5)",
    "all": "picture_guidance(scale=1.2) | skip_layer_guidance(layers=[0], weight=0.5) | apg(scale=2, momentum=-0.5)",
}


class Captioned(GaussianVideo):
    """A Gaussian whose mean the caption moves, and which its blocks, when skipped, move too."""

    num_layers = 3

    def __init__(self, stride=1):
        super().__init__(GAUSS, stride, size=(4, 6))

    def encode_text(self, prompts):
        return {"push": torch.tensor([float(len(words)) for words in prompts])}

    def __call__(self, x, tau, push, skip_layers=()):
        return super().__call__(x, tau) - (push - len(skip_layers))[:, None, None, None, None]


def clip(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 4, 6, 3), dtype=np.uint8)


TASKS = {
    "text_to_video": (tasks.text_to_video, []),
    "image_to_video": (lambda: tasks.image_to_video(clip(1)[0]), [0]),
    "start_end": (lambda: tasks.start_end(clip(1)[0], clip(1, 1)[0]), [0, 4]),
    "extension": (lambda: tasks.extension(clip(2)), [0, 1]),
    "transition": (lambda: tasks.transition(clip(2), clip(1, 1)), [0, 1, 4]),
    "keyframes": (lambda: tasks.keyframes(list(clip(2)), [0, 2], mode="replacement"), [0, 2]),
    "completion": (lambda: tasks.completion(clip(5), [range(2), range(3, 4)], 0.1, "hold"), [0, 1, 3]),
    "loop": (lambda: tasks.loop(clip(1)[0], noise=(0.0, 0.2), mode="label"), [0, 4]),
}
NEEDS_KNOWN = ("history_guidance", "picture_guidance", "all")
WORDS = ["a", "abc"]


def made(guider, task="image_to_video", **options):
    return pl.generate(Captioned(), WORDS, TASKS[task][0](), **{"steps": 3, "guidance": guider, "seed": 2, **options})


def check(result, task):
    at = TASKS[task][1]
    known = pl.prepare(Captioned(), WORDS, TASKS[task][0](), guidance=1.0).conditions.latents
    assert result.latents.isfinite().all()
    if at:
        torch.testing.assert_close(result.latents[:, :, at], known.expand(2, -1, -1, -1, -1))


def repeats(first, second, shown):
    """All pairs; what those of the guider "all" and of `shown` show already is left to `make nightly`."""
    quick = [(a, b) for a in first for b in second if a == "all" or b in shown]
    rest = [(a, b) for a in first for b in second if (a, b) not in quick]
    return [*quick, *(pytest.param(a, b, marks=pytest.mark.nightly) for a, b in rest)]


@functools.cache
def unguided(task):
    return made(1.0, task).latents


@pytest.mark.parametrize(("name", "task"), repeats(ALL, TASKS, ("text_to_video", "image_to_video", "completion")))
def test_every_guider_does_every_task_and_keeps_what_is_known(name, task):
    if task == "text_to_video" and name in NEEDS_KNOWN:
        if name != "history_guidance":  # whose terms say for themselves what is known
            with pytest.raises(ValueError, match="prepare: the guider picture_guidance: nothing is known of the video"):
                pl.prepare(Captioned(), WORDS, guidance=ALL[name])
        return
    result = made(ALL[name], task)
    check(result, task)
    assert not torch.allclose(result.latents, unguided(task))


@pytest.mark.parametrize(("name", "schedule"), repeats(ALL, sorted(schedules.SCHEDULES), ("pyramid", "repaint")))
def test_every_guider_goes_down_every_schedule(name, schedule):
    check(made(ALL[name], schedule=schedule), "image_to_video")


@pytest.mark.parametrize(("name", "solver"), repeats(ALL, solvers.SOLVERS, ("churn", "unipc")))
def test_every_guider_works_with_every_solver(name, solver):
    result = made(ALL[name], solver=solver)
    check(result, "image_to_video")
    assert torch.equal(result.latents, made(ALL[name], solver=solver).latents)


@pytest.mark.parametrize(
    ("guider", "calls"),
    [
        (1.0, 1),
        (3.0, 2),
        ("text_cfg(scale=1)", 1),
        (ALL["apg"], 2),
        (ALL["cfg_zero_star"], 2),
        (ALL["skip_layer_guidance"], 3),
        (ALL["history_guidance"], 3),
        (ALL["picture_guidance"], 2),
        (ALL["all"], 8),
    ],
)
def test_the_result_tells_how_often_the_model_was_asked(guider, calls):
    model = Captioned()
    model.asked = []
    task = TASKS["image_to_video"][0]()
    run = pl.prepare(model, WORDS, task, guidance=guider)
    assert run.denoiser.calls == calls
    assert not model.asked, "what is refused is refused by a stand-in"
    result = pl.generate(model, WORDS, task, guidance=guider, steps=4)
    assert result.calls == len(model.asked) == 4 * calls
    more = pl.generate(model, WORDS, task, guidance=guider, steps=4, solver="heun")
    assert more.calls == len(model.asked) - 4 * calls == 7 * calls


def test_a_number_and_its_guider_are_the_same_bit_for_bit():
    pairs = [
        (3.0, "text_cfg(scale=3.0)"),
        (2.0, text_guidance),
        (torch.tensor([1.0, 2, 3, 4, 5]), "text_cfg(scale=[1, 2, 3, 4, 5])"),
        (1.0, "apg(scale=1)"),
        (1.0, "cfg_zero_star(scale=1)"),
        (1.0, "picture_guidance(scale=1)"),
        (ALL["history_guidance"], "history_guidance(terms=[([0], 0, 1), ([0], 0.3, 0.5)])"),
    ]
    for number, guider in pairs:
        assert torch.equal(made(number).latents, made(guider).latents)


def text_guidance(denoiser, null, scale=2.0):
    """Someone's own guider, as a plain function."""

    def guided(x, tau, **cond):
        v_null = denoiser(x, tau, **null)
        return v_null + scale * (denoiser(x, tau, **cond) - v_null)

    return guided


def test_ones_own_guider_may_read_the_caption():
    def louder(denoiser):
        return lambda x, tau, **cond: denoiser(x, tau, push=2 * cond["push"])

    found = made(louder)
    assert found.calls == 3
    want = pl.generate(Captioned(), ["aa", "aaabbb"], TASKS["image_to_video"][0](), steps=3, guidance=1.0, seed=2)
    assert torch.equal(found.latents, want.latents)


def without_cond(denoiser):
    return lambda x, tau: x


def of_one_frame(denoiser):
    return lambda x, tau, **cond: denoiser(x, tau, **cond)[:, :, :1]


def not_a_number(denoiser):
    return lambda x, tau, **cond: denoiser(x, tau, **cond) * float("nan")


@pytest.mark.parametrize(
    ("guider", "sentence"),
    [
        (
            without_cond,
            "the denoiser of the guider without_cond does not take (x, tau, push=...): give a function that",
        ),
        (of_one_frame, "the denoiser of the guider of_one_frame returned a tensor of shape (2, 3, 1, 4, 6)"),
        (not_a_number, "the denoiser of the guider not_a_number returned NaN or infinity on the way to row 1"),
        (chain(partial(text_cfg, scale=2.0), not_a_number), "the denoiser of the guider not_a_number returned NaN"),
        (chain(not_a_number, partial(text_cfg, scale=2.0)), "the denoiser of the guider not_a_number returned NaN"),
    ],
)
def test_faults_of_ones_own_guider_are_told_with_its_name(guider, sentence):
    with pytest.raises(ValueError, match=re.escape(f"generate: {sentence}")):
        made(guider)


def test_nan_of_the_model_is_not_the_guider_s():
    class Broken(Captioned):
        def __call__(self, x, tau, **cond):
            return super().__call__(x, tau, **cond) / 0

    for guider in (3.0, text_guidance, "apg(scale=5)"):
        with pytest.raises(ValueError, match="generate: the denoiser returned NaN or infinity on the way to row 1"):
            pl.generate(Broken(), WORDS, steps=2, guidance=guider)


@pytest.mark.parametrize("scale", [1e7, -1e7, float("nan"), float("inf")])
def test_a_scale_that_would_overflow_is_refused(scale):
    weighted = partial(guidance.skip_layer_guidance, layers=[0], weight=scale)
    for guider in (partial(text_cfg, scale=scale), partial(apg, scale=[1, 1, 1, 1, scale]), weighted):
        with pytest.raises(ValueError, match=r"the guider \w+: .*(at most 1,000,000|not NaN)"):
            made(guider)
    with pytest.raises(ValueError, match=f"guidance={scale}: give a number"):
        made(scale)


def test_ones_own_guider_is_used_by_name_once_it_is_registered(monkeypatch):
    monkeypatch.setitem(guidance.GUIDERS, "text_guidance", text_guidance)
    assert torch.equal(made("text_guidance(scale=3.0)").latents, made(3.0).latents)


def test_pictures_weigh_more_with_more_guidance():
    """On the Gaussian the mean of the free frames goes on along the line from none to the exact conditional mean."""
    mean = {s: made(f"picture_guidance(scale={s})", steps=40, solver="heun").latents.mean((0, 1, 3, 4)) for s in (1, 2)}
    alone = made(1.0, "text_to_video", steps=40, solver="heun").latents.mean((0, 1, 3, 4))
    pull = (mean[1] - alone)[1:]
    assert (((mean[2] - mean[1])[1:] * pull).sum() / pull.square().sum()) > 0.3


def test_everything_is_refused_before_words_are_encoded(monkeypatch):
    model = Captioned()
    monkeypatch.setattr(model, "encode_text", lambda prompts: pytest.fail("words were encoded"))
    task = TASKS["image_to_video"][0]()
    for guider, says in {
        "apg(scale=5, eta=inf)": r"guidance='apg\(scale=5, eta=inf\)': the guider apg: eta=inf: give finite",
        "apg(scale=5, momentum=2)": "the guider apg: momentum=2",
        "apg(scale=[1, 2])": "2 scales for 5 frames",
        "apg": "the guider apg needs scale",
        "skip_layer_guidance(layers=[7], weight=1)": "layer 7 of a transformer with 3 layers",
        "apg(scale=2, momentum=0.5) | text_cfg(scale=2)": "put the one with momentum last",
    }.items():
        with pytest.raises(ValueError, match=f"generate: .*{says}"):
            pl.generate(model, WORDS, task, guidance=guider)
    with pytest.raises(ValueError, match="this denoiser cannot skip layers"):
        pl.generate(GaussianVideo(GAUSS), WORDS, guidance="skip_layer_guidance(layers=[0], weight=1)")


def test_the_toy_skips_layers(nano_vta):
    words, picture = "a red circle moves right", np.zeros((16, 16, 3), np.uint8)
    options = {"steps": 2, "task": tasks.image_to_video(picture)}
    found = pl.generate(nano_vta, words, guidance="skip_layer_guidance(layers=[1], weight=2, scale=2)", **options)
    none = pl.generate(nano_vta, words, guidance="skip_layer_guidance(layers=[1], weight=0, scale=2)", **options)
    assert (found.calls, none.calls) == (6, 4)
    assert torch.equal(none.latents, pl.generate(nano_vta, words, guidance=2.0, **options).latents)
    assert not torch.allclose(found.latents, none.latents, atol=1e-3)


def test_a_guider_of_another_package_that_cannot_be_imported_is_told_as_such(monkeypatch):
    points = {"gone": EntryPoint("gone", "of_nobody:f", "pusa_lab.guiders")}
    monkeypatch.setattr(registry, "_points_of", lambda group: points)
    for text in ("gone", "gone(scale=2)"):
        with pytest.raises(
            ValueError, match=r"'gone' of another package cannot be imported .*: reinstall or uninstall"
        ):
            guider_named(text)
