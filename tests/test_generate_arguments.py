"""pytest tests/test_generate_arguments.py: what generate takes, and one sentence for everything else."""

import inspect
from functools import partial

import numpy as np
import pytest
import torch
from test_policies import GAUSS, GaussianVideo

import pusa_lab as pl
from pusa_lab import schedules, tasks

pytestmark = pytest.mark.usefixtures("as_user", "one_thread")
PROMPTS = ["a", "b", "c"]
FAST = {"steps": 2, "guidance": 1.0}


class Told(GaussianVideo):
    """Steers by its captions: v is shifted by the number of letters."""

    def encode_text(self, prompts):
        return {"text": torch.tensor([float(len(p)) for p in prompts])}

    def __call__(self, x, tau, text=None):
        return super().__call__(x, tau) + text.to(x).view(-1, 1, 1, 1, 1)


@pytest.fixture(scope="module")
def model():
    return Told(GAUSS, size=(4, 6))


def test_prompts_may_be_any_list_of_texts(model):
    want = pl.generate(model, PROMPTS, **FAST).latents
    for prompts in (tuple(PROMPTS), np.array(PROMPTS), [np.str_(p) for p in PROMPTS]):
        assert torch.equal(pl.generate(model, prompts, **FAST).latents, want)


def test_one_negative_per_sample(model):
    found = pl.generate(model, PROMPTS, steps=2, guidance=3.0, negative_prompt=["", "xx", "xxxxx"], seed=5).latents
    for i, word in enumerate(["", "xx", "xxxxx"]):
        alone = pl.generate(model, PROMPTS[i], steps=2, guidance=3.0, negative_prompt=word, seed=5 + i).latents
        torch.testing.assert_close(found[i : i + 1], alone)
    assert torch.equal(
        pl.generate(model, PROMPTS, steps=2, guidance=3.0, negative_prompt=["xx"] * 3).latents,
        pl.generate(model, PROMPTS, steps=2, guidance=3.0, negative_prompt="xx").latents,
    )


@pytest.mark.parametrize("solver", ["euler", "churn", "consistency"])
@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
def test_one_seed_per_sample(model, solver, kind):
    task = tasks.keyframes([np.full((4, 6, 3), 0.4)], [1], noise=0.3, mode="hold")
    seeds, options = [7, -3, 2**40], {**FAST, "solver": solver}
    found = pl.generate(model, PROMPTS, task, seed=kind(seeds), **options).latents
    for i, seed in enumerate(seeds):
        alone = pl.generate(model, PROMPTS[i], task, seed=seed, **options).latents
        torch.testing.assert_close(found[i : i + 1], alone)
    counted = pl.generate(model, PROMPTS, task, seed=[4, 5, 6], **options).latents
    assert torch.equal(counted, pl.generate(model, PROMPTS, task, seed=4, **options).latents)


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
def test_guidance_as_a_list_is_one_per_latent_frame(model, kind):
    scales = [1.0, 2.0, 3.0, 1.0, 0.5]
    found = pl.generate(model, "a", steps=2, guidance=kind(scales), negative_prompt="xxx").latents
    want = pl.generate(model, "a", steps=2, guidance=torch.tensor(scales), negative_prompt="xxx").latents
    assert torch.equal(found, want)
    assert not torch.equal(found, pl.generate(model, "a", steps=2, guidance=2.0, negative_prompt="xxx").latents)


def plain(steps, frames):
    return schedules.synchronous(steps, frames)


@pytest.mark.parametrize(
    ("function", "shift", "want"),
    [
        (plain, None, schedules.synchronous(3, 5)),
        (
            lambda steps, frames, shift: schedules.synchronous(steps, frames, shift),
            4.0,
            schedules.synchronous(3, 5, 4.0),
        ),
        (lambda steps, n, **more: schedules.synchronous(steps, n, **more), 4.0, schedules.synchronous(3, 5, 4.0)),
        (lambda *a, shift=9.0: schedules.synchronous(*a, shift=shift).tolist(), None, schedules.synchronous(3, 5)),
        (lambda s, f: schedules.synchronous(s, f).numpy(), None, schedules.synchronous(3, 5)),
        (lambda s, f: schedules.synchronous(s, f).double().numpy(), None, schedules.synchronous(3, 5)),
        (lambda s, f: ((1,) * f, (0,) * f), None, torch.tensor([[1.0] * 5, [0.0] * 5])),
        (schedules.synchronous(3, 5).requires_grad_(), None, schedules.synchronous(3, 5)),
        (schedules.synchronous(3, 5).tolist(), None, schedules.synchronous(3, 5)),
    ],
)
def test_schedules_and_functions_of_all_kinds(model, function, shift, want):
    options = {"schedule": function, "steps": 3 if callable(function) else None, "shift": shift, "guidance": 1.0}
    torch.testing.assert_close(pl.prepare(model, "a", **options).schedule, want)
    assert not pl.generate(model, "a", **options).latents.requires_grad


def test_sigmas_of_other_programs_begin_and_end_within_rounding(model):
    """Wan's FlowUniPC starts at s .999 / (1 + (s - 1) .999), MAGI's last level is -1.2e-7."""
    sigmas = torch.linspace(0.999, 0.0, 5)
    unipc = (5 * sigmas / (1 + 4 * sigmas))[:, None].repeat(1, 5)
    assert unipc[0, 0] == pytest.approx(0.9998, abs=1e-5)
    free = pl.prepare(model, "a", schedule=unipc, guidance=1.0)
    torch.testing.assert_close(free.x, pl.prepare(model, "a", steps=4, guidance=1.0).x)
    known = tasks.image_to_video(np.full((4, 6, 3), 0.4), noise=0.2)
    run = pl.prepare(model, "a", known, schedule=unipc, guidance=1.0)
    torch.testing.assert_close(run.schedule[:, 0], 0.2 * unipc[:, 0])
    magi = schedules.synchronous(4, 5)
    magi[-1] = -1.2e-7
    assert (pl.generate(model, "a", schedule=magi, guidance=1.0).schedule[-1] == 0).all()


@pytest.mark.parametrize("front", [pl.generate, pl.prepare])
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"num_inference_steps": 20}, "there is no argument 'num_inference_steps': use steps"),
        ({"guidance_scale": 3.0}, "use guidance"),
        ({"num_frames": 81}, "use latent_frames=model.geometry.latent_frames"),
        ({"frames": 5}, "use latent_frames.$"),
        ({"flow_shift": 3.0}, "use shift.$"),
        ({"generator": 3}, "generator is 3 .an int.: give a Generator"),
        ({"generator": torch.Generator(), "seed": 3}, "both seed and generator were given: give one of them"),
        ({"image": 0}, r"use task=tasks.image_to_video\(image\)"),
        ({"colour": 3}, "there is no argument 'colour': choose from task, schedule, steps, shift"),
        ({"steps": 2.0}, r"steps is 2.0 \(a float\): give a whole number"),
        ({"steps": "10"}, "steps is '10'"),
        ({"steps": True}, "steps is True"),
        ({"steps": 10**7}, "steps=10000000: give 1 to 10,000"),
        ({"steps": 10**30}, "steps is 1000000000000000000000000000000"),
        ({"latent_frames": 0}, "latent_frames=0: give 1 to 10,000"),
        ({"latent_frames": 10**7}, "latent_frames=10000000"),
        ({"latent_frames": 10_000, "steps": 10_000}, "more than 10,000,000 levels"),
        ({"latent_frames": -3}, "latent_frames=-3"),
        ({"seed": 2**70}, "seed is .*: give a whole number"),
        ({"seed": None}, "seed is None"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"seed": [1, 2]}, "2 values of seed for 3 prompts: give one for all, or one per prompt"),
        ({"seed": []}, "0 values of seed"),
        ({"negative_prompt": ["a"]}, "1 value of negative_prompt for 3 prompts"),
        ({"negative_prompt": None}, "negative_prompt is None: give a text"),
        ({"guidance": [1.0, 2.0]}, "guidance of 2 numbers for 5 latent frames"),
        ({"guidance": []}, "guidance of 0 numbers"),
        ({"guidance": float("inf")}, "guidance=inf"),
        ({"guidance": float("nan")}, "guidance=nan"),
        ({"guidance": "3"}, "guidance is '3'"),
        ({"guidance": None}, "guidance is None"),
        ({"schedule": None}, "schedule is None"),
        ({"schedule": 5}, "schedule is 5"),
        ({"schedule": [[1.0] * 5, [0.5] * 5]}, "the matrix is not valid: row 1, frames 0-4: 0.5 should be 0"),
        ({"schedule": lambda s, f: None}, r"the schedule's function returned None: it must return a tensor \(rows f\)"),
        ({"schedule": lambda s, f: "x"}, "the schedule's function returned 'x'"),
        ({"schedule": lambda: None}, r"the schedule's function does not take \(steps, frames\): give a function that"),
        ({"schedule": lambda a, b, c: None}, r"the schedule's function does not take \(steps, frames\)"),
        ({"schedule": type}, r"the schedule type is a class: give a function \(steps, frames\) -> matrix"),
        ({"schedule": plain, "shift": 3.0}, "the schedule plain takes no shift, but shift=3.0 was given: leave it out"),
        ({"guidance": 1e7}, "guidance=10000000.0: give a number from -1,000,000 to 1,000,000; 1 is none"),
        ({"guidance": [1.0] * 4 + [-1e7]}, r"guidance=\[1.0, .*\]: give numbers from -1,000,000 to 1,000,000"),
        (
            {"guidance": "text_cfg(scale=1e7)"},
            "the guider text_cfg: scale=10000000.0: give one number of at most 1,000,",
        ),
        (
            {"schedule": schedules.synchronous(2, 5), "shift": 3.0},
            "shift=3.0 with a matrix of 3 rows and 5 columns: make",
        ),
        (
            {"schedule": schedules.synchronous(2, 5), "steps": 4},
            "steps=4 with a matrix of 3 rows and 5 columns: make the matrix with steps=4",
        ),
        ({"prompt": ["a", "a"], "seed": [3, 3]}, "seed=3 was given twice for the prompt 'a': the same seed makes"),
        ({"shift": "3"}, "shift is '3'"),
        ({"solver": 5}, "solver is 5"),
        ({"solver": pl.solvers.Churn}, r"solver is the class Churn: give an instance, such as Churn\(\)"),
        ({"prompt": None}, "prompt is None: give a text"),
        ({"prompt": [1]}, r"prompt\[0\] is 1 \(an int\): give a text"),
        ({"prompt": b"a"}, "prompt is b'a'"),
        ({"prompt": np.zeros(2)}, r"prompt\[0\] is 0.0 \(a float\): give a text"),
        ({"task": "image_to_video"}, "task is 'image_to_video'"),
        ({"task": tasks.image_to_video}, "give a Task"),
        ({"model": None}, "model is None: give a VideoModel"),
        ({"model": "mini-vta"}, "model is 'mini-vta'"),
    ],
)
def test_everything_else_gets_one_sentence_that_names_what_was_called(model, front, options, says):
    with pytest.raises(ValueError, match=says) as caught:
        front(**{"model": model, "prompt": PROMPTS, **options})
    said = str(caught.value)
    assert said.startswith(f"{front.__name__}: ")
    assert said.endswith(".")
    assert "\n" not in said


def test_an_error_of_the_persons_own_function_stays_as_it_is(model):
    def broken(steps, frames):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        pl.generate(model, "a", schedule=broken)


def test_help_and_tab_completion_show_what_prepare_takes():
    own, prepared = (list(inspect.signature(front).parameters) for front in (pl.generate, pl.prepare))
    assert own == [*prepared, "callback", "output", "progress"]
    assert "as `prepare`" in inspect.getdoc(pl.generate)


def test_a_solver_of_other_arguments_is_refused(nano_vta):
    with pytest.raises(ValueError, match=r"solver does not take \(denoiser, x, tau, tau_next\)"):
        pl.generate(nano_vta, "a red circle moves right", steps=1, solver=lambda x: x)


def test_a_negative_prompt_without_guidance_is_refused(nano_vta):
    with pytest.raises(ValueError, match=r"^generate: negative_prompt has no effect without guidance"):
        pl.generate(nano_vta, "a red circle moves right", steps=1, guidance=1, negative_prompt="a blue circle")


@pytest.mark.parametrize(
    "module", [torch.nn.Linear(1, 1), partial(torch.nn.Conv3d(1, 1, 1))], ids=["module", "partial"]
)
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("guidance", "the guider (Linear|Conv3d) is a module: give a function"),
        ("schedule", r"the schedule's function does not take \(steps, frames\)"),
        ("solver", r"the solver does not take \(denoiser, x, tau, tau_next\)"),
        ("callback", "callback is a (Linear|partial): give a function of 3 arguments or more"),
    ],
)
def test_a_module_is_judged_by_what_its_forward_takes(model, name, says, module):
    with pytest.raises(ValueError, match=f"^generate: {says}"):
        pl.generate(model, "a", steps=2, **{name: module})
