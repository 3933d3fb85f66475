"""pytest tests/test_generate_diffusers.py: what users of diffusers reach for first."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from wan_tiny import TEXT, codec, transformer

import pusa_lab as pl
from pusa_lab import tasks
from pusa_lab.schedulers import sigmas_of

PROMPTS = ["a red circle moves right", "a blue square moves up"]


@pytest.fixture(scope="module")
def nano_vta(small_nano):
    """Any toy does here."""
    return small_nano


pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers and numpy 2
FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0}
SCHEDULERS = {
    "FlowMatchEulerDiscreteScheduler": ({"shift": 3.0}, "euler"),
    "FlowMatchHeunDiscreteScheduler": ({"shift": 2.0}, "heun"),
    "UniPCMultistepScheduler": (FLOW, "unipc"),
    "DPMSolverMultistepScheduler": (FLOW, "dpmpp_2m"),
}


def made(name, **options):
    import diffusers

    return getattr(diffusers, name)(**options)


@pytest.mark.parametrize("steps", [1, 2, 5, 16])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_scheduler_is_a_schedule_and_makes_what_its_own_loop_makes(nano_vta, name, steps):
    options, solver = SCHEDULERS[name]
    scheduler = made(name, **options)
    run = pl.prepare(nano_vta, PROMPTS[0], schedule=scheduler, steps=steps)
    assert run.options["solver"] == solver and run.schedule.shape == (steps + 1, 8)
    *_, last = run.states()
    scheduler.set_timesteps(steps)
    x = run.x
    for i, timestep in enumerate(scheduler.timesteps):
        tau = scheduler.sigmas[i].float().expand(1, 8)
        x = scheduler.step(run.denoiser(x, tau), timestep, x).prev_sample
    torch.testing.assert_close(last.x, x, rtol=0, atol=5e-4)
    again = pl.prepare(nano_vta, PROMPTS[0], schedule=scheduler)  # with the sigmas that were set
    assert torch.equal(again.schedule, run.schedule)


@pytest.mark.parametrize(
    ("name", "options", "given", "says"),
    [
        ("DDIMScheduler", {}, {}, "the scheduler DDIMScheduler is not one whose steps are exact here: give FlowMatch"),
        ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}, {}, "use_flow_sigmas=False, with which its steps"),
        ("UniPCMultistepScheduler", FLOW | {"solver_order": 3}, {}, "solver_order=3, .* or give solver= to take its"),
        (
            "UniPCMultistepScheduler",
            FLOW | {"prediction_type": "epsilon"},
            {"solver": "euler"},
            "prediction_type='epsi",
        ),
        ("FlowMatchEulerDiscreteScheduler", {"use_dynamic_shifting": True}, {}, "set use_dynamic_shifting=False"),
        ("FlowMatchEulerDiscreteScheduler", {"invert_sigmas": True}, {}, "set invert_sigmas=False"),
        (
            "FlowMatchEulerDiscreteScheduler",
            {"stochastic_sampling": True},
            {},
            "set stochastic_sampling=False, or give",
        ),
        ("FlowMatchEulerDiscreteScheduler", {}, {"shift": 3.0}, "shift=3.0 with a scheduler, which shifts its own"),
        ("FlowMatchEulerDiscreteScheduler", {}, {"steps": 0}, "steps=0: give 1 to 10,000"),
    ],
)
def test_a_scheduler_that_would_not_be_exact_is_refused(nano_vta, name, options, given, says):
    with pytest.raises(ValueError, match=rf"^prepare: .*{says}"):
        pl.prepare(nano_vta, PROMPTS[0], schedule=made(name, **options), **given)


def test_with_a_solver_the_sigmas_alone_are_taken(nano_vta):
    scheduler = made("UniPCMultistepScheduler", **FLOW, solver_order=3)
    run = pl.prepare(nano_vta, PROMPTS[0], schedule=scheduler, steps=4, solver="heun")
    scheduler.set_timesteps(4)
    torch.testing.assert_close(run.schedule[:, 0], scheduler.sigmas.float(), rtol=0, atol=1e-6)
    assert run.options["solver"] == "heun"


def test_embeddings_are_the_captions(nano_vta):
    want = pl.generate(nano_vta, PROMPTS, steps=2, negative_prompt=PROMPTS[1], seed=3)
    embeds, null = nano_vta.encode_text(PROMPTS), nano_vta.encode_text([PROMPTS[1]] * 2)
    for negative in ({"negative_prompt": PROMPTS[1]}, {"negative_prompt_embeds": null}):
        found = pl.generate(nano_vta, prompt_embeds=embeds, steps=2, seed=3, **negative)
        assert torch.equal(found.latents, want.latents)


def test_several_videos_of_each_prompt_stand_side_by_side(nano_vta):
    pictures = np.random.default_rng(0).integers(0, 255, (2, 1, 16, 16, 3), np.uint8)
    task = tasks.image_to_video(pictures, noise=0.2)
    found = pl.generate(
        nano_vta, PROMPTS, task, steps=2, num_videos_per_prompt=2, seed=5, negative_prompt=PROMPTS[::-1]
    )
    twice, known = [PROMPTS[0]] * 2 + [PROMPTS[1]] * 2, tasks.image_to_video(pictures.repeat(2, 0), noise=0.2)
    negative = [PROMPTS[1]] * 2 + [PROMPTS[0]] * 2
    want = pl.generate(nano_vta, twice, known, steps=2, seed=5, negative_prompt=negative)
    assert torch.equal(found.latents, want.latents)
    seeds = pl.generate(nano_vta, PROMPTS[0], steps=1, num_videos_per_prompt=2, seed=[8, 3])
    assert torch.equal(seeds.latents, pl.generate(nano_vta, [PROMPTS[0]] * 2, steps=1, seed=[8, 3]).latents)


@pytest.mark.parametrize("seed", [0, 7, 2**40, 2**64 - 1])
def test_a_fresh_generator_is_its_seed(nano_vta, seed):
    signed = seed - 2**64 if seed >= 2**63 else seed
    want = pl.generate(nano_vta, PROMPTS, steps=1, seed=signed).latents
    found = pl.generate(nano_vta, PROMPTS, steps=1, generator=torch.Generator().manual_seed(seed)).latents
    assert torch.equal(found, want)
    each = [torch.Generator().manual_seed(one) for one in (4, 9)]
    found = pl.generate(nano_vta, PROMPTS, steps=1, generator=each).latents
    assert torch.equal(found, pl.generate(nano_vta, PROMPTS, steps=1, seed=[4, 9]).latents)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"prompt_embeds": {"text": torch.zeros(1, 2)}}, "both prompt and prompt_embeds were given"),
        (
            {"prompt": None, "prompt_embeds": {"text": 3}},
            r"prompt_embeds holds 3 \(an int\): give what model.encode_text",
        ),
        ({"prompt": None, "prompt_embeds": {"a": torch.zeros(1), "b": torch.zeros(2)}}, r"tensors of \[1, 2\] rows"),
        ({"prompt": None, "prompt_embeds": torch.zeros(1, 2)}, "prompt_embeds is a tensor of shape"),
        ({"negative_prompt_embeds": {"text": torch.zeros(2, 2)}}, "negative_prompt_embeds of 2 rows for 1 prompt"),
        (
            {"negative_prompt_embeds": {"text": torch.zeros(1, 2)}, "negative_prompt": "a"},
            "both negative_prompt and negative_prompt_embeds were given",
        ),
        ({"num_videos_per_prompt": 0}, "num_videos_per_prompt=0: give 1 to 10,000"),
        (
            {"num_videos_per_prompt": 2, "seed": [1]},
            "1 value of seed for 2 samples: give one for all, or one per sample",
        ),
        ({"height": 32}, "height=32, width=16: this model makes videos of 16 x 16 pixels only, leave height and width"),
        ({"width": 8}, "height=16, width=8: this model"),
        ({"callback_on_step_end": print}, r"use callback\(row, rows, state\)"),
        ({"output_type": "latent"}, "use output='latents'"),
        ({"output": "pil"}, "output is 'pil'"),
        ({"callback": lambda row: None}, "callback is a function: give a function of 3 arguments or more"),
        ({"callback": 3}, "callback is 3"),
    ],
)
def test_what_does_not_fit_is_one_sentence(nano_vta, options, says):
    with pytest.raises(ValueError, match=rf"^generate: .*{says}"):
        pl.generate(nano_vta, **{"prompt": PROMPTS[0], "steps": 1, **options})


def test_a_generator_that_was_used_is_refused(nano_vta):
    used = torch.Generator().manual_seed(3)
    torch.randn(2, generator=used)
    with pytest.raises(ValueError, match="generator has been drawn from already, so that no seed means the same"):
        pl.generate(nano_vta, PROMPTS[0], steps=1, generator=used)


def test_prepare_says_how_to_do_what_generate_does(nano_vta):
    with pytest.raises(ValueError, match=r"no argument 'callback': iterate run.states\(\) and end with run.finish"):
        pl.prepare(nano_vta, PROMPTS[0], callback=print)


# Callback, cancelling, steering


def test_a_callback_sees_every_row_and_changes_nothing(nano_vta):
    seen = []
    want = pl.generate(nano_vta, PROMPTS, steps=3, schedule="pyramid")
    found = pl.generate(
        nano_vta,
        PROMPTS,
        steps=3,
        schedule="pyramid",
        callback=lambda row, rows, state: seen.append((row, rows, state)),
    )
    last = len(want.schedule) - 1
    assert [(row, rows) for row, rows, _ in seen] == [(row, last) for row in range(last + 1)]
    assert torch.equal(found.latents, want.latents) and found.row is None
    assert torch.equal(seen[-1][2].x, found.latents)


@pytest.mark.parametrize("row", [0, 1, 2, 3])
def test_a_cancelled_run_gives_its_clean_estimate(nano_vta, row):
    run = pl.prepare(nano_vta, PROMPTS[0], steps=3)
    states = list(run.states())
    found = pl.generate(nano_vta, PROMPTS[0], steps=3, callback=lambda i, rows, state: i != row)
    want = states[row].x if row in (0, 3) else states[row].x0
    assert torch.equal(found.latents, want)
    assert found.row == (None if row == 3 else row) and found.calls == 2 * row
    assert np.array_equal(found.video, pl.decode(nano_vta, want))


@pytest.mark.parametrize("no", [np.bool_(False), torch.tensor(False), torch.zeros(1, dtype=torch.bool)])
def test_false_of_numpy_and_torch_cancels_too(nano_vta, no):
    assert pl.generate(nano_vta, PROMPTS[0], steps=3, guidance=1.0, callback=lambda *_: no).row == 0
    for other in (np.bool_(True), torch.tensor(True), torch.tensor(0.0), 0, None, torch.zeros(2)):
        assert pl.generate(nano_vta, PROMPTS[0], steps=1, guidance=1.0, callback=lambda *_, it=other: it).row is None


@pytest.mark.parametrize("row", [0, 1, 2])
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x: x[:, :, :4], r"state.x is a tensor of shape \(1, 3, 4, 16, 16\).* of shape \(1, 3, 8, 16, 16\)"),
        (lambda x: x.numpy(), "state.x is an array"),
        (lambda x: x.long(), "state.x is a tensor of shape .*, int64"),
        (lambda x: x * torch.nan, "state.x holds NaN or infinite numbers"),
        (lambda x: x.fill_(torch.inf), "state.x holds NaN or infinite numbers"),
    ],
)
def test_what_a_callback_assigns_must_be_latents(nano_vta, row, change, sentence):
    def steer(i, rows, state):
        if i == row:
            state.x = change(state.x)

    with pytest.raises(ValueError, match=f"^generate: {sentence}"):
        pl.generate(nano_vta, PROMPTS[0], steps=2, guidance=1.0, callback=steer)


@pytest.mark.parametrize("name", [name for name in pl.__all__ if inspect.isfunction(getattr(pl, name))])
def test_a_sentence_begins_with_the_name_that_was_called(name):
    with pytest.raises(ValueError, match=rf"^{name}: \w+ is missing: give "):
        getattr(pl, name)()


def test_a_sentence_about_a_method_names_its_class(nano_vta, tmp_path):
    run = pl.prepare(nano_vta, PROMPTS[0], steps=2, guidance=1.0)
    states = run.states()
    state = next(states)
    result = run.finish(state)
    with pytest.raises(ValueError, match=r"^Result.save: .* ends in .txt"):
        result.save(tmp_path / "a.txt")
    with pytest.raises(ValueError, match=r"^Result.decode: model is 3"):
        result.decode(3)
    state.x.fill_(torch.nan)
    with pytest.raises(ValueError, match=r"^Run.finish: state.x holds NaN"):
        run.finish(state)
    with pytest.raises(ValueError, match=r"^Run.states: state.x holds NaN"):
        next(states)


def test_a_request_tells_schedulers_apart(nano_vta):
    made = [pl.generate(nano_vta, PROMPTS[0], schedule=FlowMatchEulerDiscreteScheduler(shift=s)) for s in (3.0, 7.0)]
    calls = [result.request.schedule_call for result in made]
    assert calls == [f"FlowMatchEulerDiscreteScheduler(shift={s}) of diffusers, 10 steps" for s in (3.0, 7.0)]
    assert [result.request.shift for result in made] == [None, None]
    with pytest.raises(ValueError, match="schedule is the class FlowMatchEulerDiscreteScheduler: give an object of it"):
        pl.generate(nano_vta, PROMPTS[0], schedule=FlowMatchEulerDiscreteScheduler)


def test_latents_of_another_model_are_not_decoded(nano_vta):
    with pytest.raises(ValueError, match=r"decode: latents has shape \(1, 4, 8, 16, 16\): give \(b, 3, f, h, w\)"):
        pl.decode(nano_vta, torch.zeros(1, 4, 8, 16, 16))


def test_an_error_of_a_callback_passes_as_it_is(nano_vta):
    def stop(row, rows, state):
        raise KeyboardInterrupt("enough")

    with pytest.raises(KeyboardInterrupt, match="enough"):
        pl.generate(nano_vta, PROMPTS[0], steps=2, callback=stop)


def test_steering_needs_no_copy_of_generate(nano_vta):
    def brighter(row, rows, state):
        if row == 1:
            state.x = state.x + 0.1

    run = pl.prepare(nano_vta, PROMPTS[0], steps=3, seed=2)
    for state in run.states():
        brighter(state.row, 3, state)
    found = run.finish(state)
    want = pl.generate(nano_vta, PROMPTS[0], steps=3, seed=2, callback=brighter)
    assert torch.equal(found.latents, want.latents) and np.array_equal(found.video, want.video)
    assert not torch.equal(found.latents, pl.generate(nano_vta, PROMPTS[0], steps=3, seed=2).latents)
    assert found.request == replace(want.request, callback=None) and found.calls == want.calls


def test_latents_are_decoded_later(nano_vta):
    found = pl.generate(nano_vta, PROMPTS, steps=1, output="latents")
    assert found.video.shape == (2, 0, 16, 16, 3)
    assert np.array_equal(found.decode(nano_vta).video, pl.generate(nano_vta, PROMPTS, steps=1).video)


def test_a_result_shows_itself(nano_vta):
    result = pl.generate(nano_vta, "a red circle moves right", steps=1)
    shown = result._repr_html_()
    assert "data:video/mp4;base64," in shown and "data:image/png;base64," in shown
    assert "<details>" in shown and "&quot;prompts&quot;" in shown and "<script" not in shown
    assert "not decoded" in pl.generate(nano_vta, PROMPTS[0], steps=1, output="latents")._repr_html_()
    assert len(repr(result.request)) < 1500


# Sizes, where the model has several


@pytest.fixture(scope="module")
def wan():
    from pusa_lab.wan.model import WanModel

    return WanModel(transformer().eval(), codec(), lambda captions: torch.zeros(len(captions), 8, TEXT))


def test_wan_takes_height_and_width_for_one_call(wan):
    own = wan.geometry
    run = pl.prepare(wan, "a", steps=1, guidance=1.0, height=32, width=48, latent_frames=2)
    assert run.x.shape[-2:] == (4, 6) and wan.geometry == own and run.request.size == [32, 48]
    result = run.finish(list(run.states())[-1])
    assert result.video.shape[2:4] == (32, 48)
    with pytest.raises(ValueError, match=r"^prepare: a size of 33 x 48: height and width must be multiples"):
        pl.prepare(wan, "a", height=33, width=48)


def test_wan_moves(wan):
    assert wan.to("cpu") is wan and wan.device == torch.device("cpu")
    wan.offload = "model"
    with pytest.raises(ValueError, match="with offload='model' the model moves its own parts"):
        wan.to("cpu")
    wan.offload = "none"


@pytest.mark.parametrize("name", ["output", "prompt_embeds", "num_videos_per_prompt", "height"])
def test_a_long_video_refuses_what_has_no_meaning_for_it(nano_vta, name):
    with pytest.raises(ValueError, match=f"^extend_to: {name} is not for videos of several windows: leave it out"):
        pl.extend_to(nano_vta, PROMPTS[0], tasks.text_to_video(), 2.0, 2, **{name: 1})


@pytest.mark.parametrize("steps", [0, -1, 10**6 + 1, 2**62])
def test_steps_of_a_scheduler_are_bounded(steps):
    with pytest.raises(ValueError, match=rf"^schedulers.sigmas_of: steps={steps}: give a whole number of steps from 1"):
        sigmas_of(made("FlowMatchEulerDiscreteScheduler"), steps)
