"""pytest tests/test_generate.py: the front door, on the shipped toy."""

import copy
import inspect
import itertools
from functools import partial

import numpy as np
import pytest
import torch
from falling import FALLING

import pusa_lab as pl
import small_models
from pusa_lab import pixels, schedules, tasks
from small_models import world

PROMPT = "a red circle moves right"


@pytest.fixture(scope="module")
def nano_vta(small_nano):
    """Any toy does here."""
    return small_nano


@pytest.fixture(scope="module")
def truth():
    """One true clip (frames, h, w, 3) uint8 at twice the toy's size."""
    clip = world.render(world.draw_scenes(1, 5), 8, 32)
    return ((clip[0].permute(1, 2, 3, 0) + 1) * 127.5).round().to(torch.uint8).numpy()


TASKS = {
    "text_to_video": (lambda clip: tasks.text_to_video(), []),
    "image_to_video": (lambda clip: tasks.image_to_video(clip[0]), [0]),
    "start_end": (lambda clip: tasks.start_end(clip[0], clip[7]), [0, 7]),
    "extension": (lambda clip: tasks.extension(clip[:3], known=3), [0, 1, 2]),
    "transition": (lambda clip: tasks.transition(clip[:2], clip[6:]), [0, 1, 6, 7]),
    "keyframes": (lambda clip: tasks.keyframes([clip[4], clip[2]], [4, 2], mode="replacement"), [4, 2]),
    "completion": (lambda clip: tasks.completion(clip, [range(2), range(5, 6)], 0.1, "hold"), [0, 1, 5]),
    "loop": (lambda clip: tasks.loop(clip[0], noise=(0.0, 0.2), mode="label"), [0, 7]),
}
# `hold` freezes frame 0, of which text-to-video and these keyframes know nothing, and `completion` at another level.
REFUSED = [(t, "hold") for t in ("text_to_video", "keyframes", "completion")]
PAIRS = [(t, s) for t in TASKS for s in sorted(schedules.SCHEDULES) if (t, s) not in REFUSED]
# These keep their frames as image-to-video does, which goes down every schedule.
ALIKE = [(t, s) for t, s in PAIRS if t in ("start_end", "extension", "transition") and s not in ("pyramid", "repaint")]
PAIRS = [pytest.param(*pair, marks=pytest.mark.nightly) if pair in ALIKE else pair for pair in PAIRS]


@pytest.mark.parametrize(("name", "schedule"), PAIRS)
def test_every_task_on_every_schedule_keeps_known_frames_exactly(nano_vta, truth, name, schedule):
    make, known = TASKS[name]
    rising, short = schedule not in FALLING, partial(schedules.repaint, jump_length=1)
    schedule = short if schedule == "repaint" else schedule
    options = {"task": make(truth), "schedule": schedule, "steps": 2, "guidance": 1.0, "seed": 1}
    result, run = pl.generate(nano_vta, PROMPT, **options), pl.prepare(nano_vta, PROMPT, **options)
    assert result.video.shape == (1, 8, 16, 16, 3)
    assert result.video.dtype == np.uint8
    assert result.task == name
    assert schedules.faults(result.schedule, rising=rising) == []
    shown = pixels.crop_and_resize(pixels.to_pixels(truth), (16, 16))
    shown[:, :, 7] = shown[:, :, 0 if name == "loop" else 7]
    torch.testing.assert_close(result.latents[:, :, known], shown[:, :, known])
    if known:
        assert torch.equal(result.latents[:, :, known], run.conditions.latents)
    made = [i for i in range(8) if i not in known]
    assert (result.latents[:, :, made] - shown[:, :, made]).abs().max() > 0.01


def test_a_frozen_frame_nobody_knows_is_refused(nano_vta):
    with pytest.raises(ValueError, match="frame 0 starts at 0 but nothing is known of it"):
        pl.generate(nano_vta, PROMPT, schedule="hold", steps=3)


def test_the_seed_decides_and_the_batch_does_not(nano_vta):
    prompts = [PROMPT, "a blue square moves up", PROMPT]
    together = pl.generate(nano_vta, prompts, steps=3, seed=4)
    again = pl.generate(nano_vta, prompts, steps=3, seed=4)
    assert np.array_equal(together.video, again.video)
    alone = pl.generate(nano_vta, prompts[1], steps=3, seed=5)
    torch.testing.assert_close(alone.latents, together.latents[1:2], atol=1e-5, rtol=0)
    assert not np.array_equal(together.video[0], together.video[2])


def test_states_end_where_generate_ends(nano_vta, truth):
    task = tasks.image_to_video(truth[0], noise=0.2)
    run = pl.prepare(nano_vta, PROMPT, task, steps=4, schedule="pyramid")
    states = list(run.states())
    result = pl.generate(nano_vta, PROMPT, task, steps=4, schedule="pyramid")
    assert len(states) == len(result.schedule)
    assert torch.equal(states[-1].x, result.latents)


def test_denoise_moves_a_noisy_known_frame_and_hold_brings_it_back(nano_vta, truth):
    want = pixels.crop_and_resize(pixels.to_pixels(truth[0]), (16, 16))
    denoised = pl.generate(nano_vta, PROMPT, tasks.image_to_video(truth[0], noise=0.3), steps=4).latents[:, :, :1]
    held = pl.generate(nano_vta, PROMPT, tasks.image_to_video(truth[0], noise=0.3, mode="hold"), steps=4)
    assert (denoised - want).abs().max() > 0.01
    assert torch.equal(held.latents[:, :, :1], want)


def test_held_frames_get_fresh_noise_at_every_row(nano_vta, truth):
    run = pl.prepare(nano_vta, PROMPT, tasks.image_to_video(truth[0], noise=0.3, mode="hold"), steps=4)
    first = [state.x[:, :, 0] for state in run.states()]
    assert all(not torch.equal(a, b) for a, b in itertools.pairwise(first))


def test_the_clean_estimate_of_a_held_frame_is_the_known_one(nano_vta, truth):
    run = pl.prepare(nano_vta, PROMPT, tasks.image_to_video(truth[0], noise=0.5, mode="hold"), steps=4)
    want = pixels.crop_and_resize(pixels.to_pixels(truth[0]), (16, 16))
    for state in list(run.states())[1:]:
        assert torch.equal(state.x0[:, :, :1], want)


def test_a_run_can_be_walked_twice(nano_vta):
    run = pl.prepare(nano_vta, PROMPT, steps=3)
    first = None
    for _ in range(2):
        for state in run.states():
            last = state
        first = last.x if first is None else first
    assert torch.equal(first, last.x)


def test_every_prompt_may_have_its_own_picture(nano_vta):
    scenes = world.draw_scenes(3, 8)
    clips = pixels.to_uint8(world.render(scenes, 1, 16))
    result = pl.generate(nano_vta, world.captions(scenes), tasks.image_to_video(clips), steps=3, seed=2)
    assert np.array_equal(result.video[:, :1], clips)
    alone = pl.generate(nano_vta, world.captions(scenes)[1], tasks.image_to_video(clips[1]), steps=3, seed=3)
    torch.testing.assert_close(alone.latents, result.latents[1:2], atol=1e-4, rtol=0)


def test_a_bfloat16_model_keeps_float32_latents(nano_vta):
    model = copy.deepcopy(nano_vta).bfloat16()
    result = pl.generate(model, PROMPT, steps=3)
    assert result.latents.dtype == torch.float32
    assert (result.latents - pl.generate(nano_vta, PROMPT, steps=3).latents).abs().mean() < 0.05


def test_large_seeds(nano_vta):
    a, b = (pl.generate(nano_vta, PROMPT, steps=1, seed=s).latents for s in (2**62, 2**62 + 1))
    assert not torch.equal(a, b)


def test_nothing_is_encoded_before_the_request_is_checked():
    class Never(small_models.ToyModel):
        def encode_text(self, prompts):
            raise AssertionError("encoded")

    model = Never(small_models.PRESETS["nano"])
    with pytest.raises(ValueError, match="outside the video"):
        pl.prepare(model, PROMPT, tasks.Task("x", (tasks.Known(np.zeros((4, 4, 3)), at=9),)))


def test_help_shows_the_options():
    assert {"schedule", "steps", "shift", "guidance", "seed"} <= set(inspect.signature(pl.generate).parameters)
    assert {"viz", "media", "generate"} <= set(dir(pl))


@pytest.mark.parametrize("guidance", ["text_cfg(scale=3)", "apg(scale=3)", "text_cfg(scale=3, interval=(0.3, 1))"])
def test_both_captions_in_one_pass(small_nano, guidance):
    """But somebody who watches the model by a hook sees one call after the other."""
    ask = partial(pl.generate, small_nano, [PROMPT, "a blue square"], steps=4, latent_frames=5, guidance=guidance)
    passes, hook = [], small_nano.dit.register_forward_hook(lambda module, args, v: passes.append(len(v)))
    together, samples = ask(), passes.copy()
    watch = small_nano.register_forward_pre_hook(lambda module, args: None)
    passes.clear()
    apart = ask()
    hook.remove()
    watch.remove()
    torch.testing.assert_close(together.latents, apart.latents, rtol=0, atol=1e-5)
    assert together.calls == apart.calls == len(passes) == sum(samples) / 2
    assert set(passes) == {2} and 4 in samples


def test_guidance_one_asks_half_as_often(truth):
    class Counting(small_models.ToyModel):
        calls = 0

        def forward(self, x, tau, text):
            Counting.calls += 1
            return super().forward(x, tau, text)

    model = Counting(small_models.PRESETS["nano"])
    pl.generate(model, PROMPT, steps=3, guidance=1.0)
    assert Counting.calls == 3
    pl.generate(model, PROMPT, steps=3, guidance=2.0)
    assert Counting.calls == 9


@pytest.mark.parametrize("frames", [1, 5, 11])
def test_other_lengths(nano_vta, frames):
    assert pl.generate(nano_vta, PROMPT, steps=2, latent_frames=frames).video.shape[1] == frames


def test_own_schedules_as_tensor_and_function(nano_vta):
    S = schedules.pyramid(3, 8, lag=2)
    a = pl.generate(nano_vta, PROMPT, schedule=S)
    b = pl.generate(nano_vta, PROMPT, steps=3, schedule=lambda n, f, shift: schedules.pyramid(n, f, 2, shift))
    assert torch.equal(a.latents, b.latents)
    assert torch.equal(a.schedule, S)


def test_the_models_own_shift_is_the_default(nano_vta):
    a = pl.generate(nano_vta, PROMPT, steps=3).schedule
    assert torch.equal(a, schedules.synchronous(3, 8, shift=nano_vta.geometry.shift))
    assert torch.equal(pl.generate(nano_vta, PROMPT, steps=3, shift=4.0).schedule, schedules.synchronous(3, 8, 4.0))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"prompt": []}, "no prompt was given"),
        ({"prompt": "a red horse moves"}, "unknown words in .*: horse. The toy knows"),
        ({"prompt": "a " * 21}, "21 words: the toy reads at most 20"),
        ({"schedule": "spiral"}, "unknown schedule 'spiral': choose one of synchronous"),
        (
            {"schedule": schedules.synchronous(3, 7)},
            "a matrix of 7 columns for 8 frames: give one per frame",
        ),
        ({"schedule": schedules.synchronous(3, 8).flip(0)}, "rises"),
        ({"schedule": schedules.synchronous(3, 8) * 0.5}, "frame 0 starts at 0.5 but nothing is known"),
        ({"solver": "rk45"}, "unknown solver"),
        ({"steps": 0}, "steps=0"),
        ({"shift": -1.0}, "shift=-1"),
        ({"latent_frames": 0}, "latent_frames=0"),
    ],
)
def test_bad_requests_get_a_sentence(nano_vta, options, says):
    with pytest.raises(ValueError, match=says):
        pl.prepare(nano_vta, **{"prompt": PROMPT, **options})


@pytest.mark.parametrize("solver", ["churn", "consistency"])
def test_the_seed_is_also_that_of_a_solvers_noise(solver):
    model = small_models.load("nano-base", device="cpu")
    a, b, c = (
        pl.generate(model, "a red circle moves right", solver=solver, steps=3, seed=s).latents for s in (0, 0, 1)
    )
    assert torch.equal(a, b)
    run = [pl.prepare(model, "a red circle moves right", solver=solver, steps=3, seed=s) for s in (0, 1)]
    assert [r.solver.seed for r in run] == [0, 1]
    assert not torch.equal(a, c)


def test_settings_of_a_solver_take_the_seed_unless_they_have_one():
    model, words = small_models.load("nano-base", device="cpu"), "a red circle moves right"
    seeds = [pl.prepare(model, words, solver=pl.solvers.Churn(seed=s), steps=2, seed=7).solver.seed for s in (None, 3)]
    assert seeds == [7, 3]


def test_a_solver_without_fields_keeps_the_seed_it_has(nano_vta):
    class Own:
        seed = None

        def init_state(self):
            return pl.solvers.euler

    found, want = (pl.generate(nano_vta, PROMPT, steps=2, solver=solver) for solver in (Own(), "euler"))
    assert torch.equal(found.latents, want.latents)


def test_each_frame_may_have_its_own_guidance():
    model, words = small_models.load("nano-base", device="cpu"), "a red circle moves right"
    one, same = (pl.generate(model, words, guidance=g, steps=2).latents for g in (2.0, torch.full((8,), 2.0)))
    torch.testing.assert_close(one, same)
    run = pl.prepare(model, words, guidance=torch.ones(8), steps=2)
    assert run.denoiser.calls == 1


def test_a_picture_is_no_task(as_user):
    model = small_models.load("nano-base", device="cpu")
    with pytest.raises(ValueError, match=r"task is an array of .*: give a Task, such as tasks.image_to_video\(p"):
        pl.prepare(model, "a red circle moves right", np.zeros((16, 16, 3), np.uint8))


def test_a_function_may_give_rows_as_lists():
    model = small_models.load("nano-base", device="cpu")
    run = pl.prepare(model, "a red circle moves right", schedule=lambda s, f, shift: [[1.0] * f, [0.0] * f])
    assert run.schedule.shape == (2, 8)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("kind", [lambda S: S, schedules.Rising, lambda S: lambda steps, frames: S[None]])
def test_a_matrix_of_another_precision_is_sampled_through_as_it_is_saved(nano_vta, tmp_path, kind, dtype):
    S = (schedules.pyramid(3, 8, lag=1).double() ** 1.3).to(dtype)
    result = pl.generate(nano_vta, PROMPT, schedule=kind(S), guidance=1.0)
    result.save(tmp_path)
    assert torch.equal(pl.rerun(tmp_path, nano_vta).latents, result.latents)
    assert torch.equal(result.schedule.squeeze(0), S.float())
