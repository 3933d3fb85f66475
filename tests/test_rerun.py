"""pytest tests/test_rerun.py: a saved result is made again bit for bit, or one sentence says what is not as it was."""

import json
import random
import re
import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from processes import python
from safetensors.torch import load_file, save_file

import pusa_lab as pl
from pusa_lab import guidance, schedules, solvers, tasks
from pusa_lab.media import read_metadata
from pusa_lab.named import plug_in, spelled, spelled_back
from pusa_lab.versions import device_name

PROMPTS = ["a red circle moves right", "a blue square moves up", "a red square moves left"]
CLIP = np.random.default_rng(0).integers(0, 255, (8, 16, 16, 3), np.uint8)
PICTURES = np.random.default_rng(1).integers(0, 255, (2, 1, 16, 16, 3), np.uint8)
TASKS = [
    tasks.text_to_video(),
    tasks.image_to_video(CLIP[0], noise=0.3, mode="hold"),
    tasks.image_to_video(PICTURES, noise=0.2),
    tasks.start_end(CLIP[0] / 255, CLIP[7], noise=(0.1, 0.4), mode="replacement"),
    tasks.loop(torch.from_numpy(CLIP[2]), mode="label", noise=0.2),
    tasks.keyframes([CLIP[4], CLIP[2]], pixel_at=[4, 2], noise=[0.0, 0.5]),
    tasks.completion(CLIP, [range(2), range(5, 6)]),
    tasks.extension(CLIP[:3], noise=[0.0, 0.1, 0.2]),
]


def halved(denoiser, x, tau, tau_next, **cond):
    """A solver of one's own: two Euler steps."""
    half = (tau + tau_next) / 2
    x, _ = solvers.euler(denoiser, x, tau, half, **cond)
    return solvers.euler(denoiser, x, half, tau_next, **cond)


@dataclass(frozen=True)
class Powered:
    """Settings of a solver of one's own."""

    power: float = 1.0

    def init_state(self):
        return lambda denoiser, x, tau, tau_next, **cond: halved(denoiser, x, tau, tau_next, **cond)


def doubled(denoiser, null, scale=1.0):
    """A guider of one's own."""
    return guidance.text_cfg(denoiser, null, 2 * scale)


def steep(steps, frames, shift=1.0, power=2.0):
    """A schedule of one's own."""
    return schedules.synchronous(steps, frames, shift) ** power


SOLVERS = [*sorted(pl.samplers.SOLVERS), halved, Powered(2.0), solvers.Churn(0.5), solvers.Churn(0.7, seed=3)]
SCHEDULES = ["synchronous", "pyramid", "cascade", steep, partial(steep, power=3), partial(schedules.pyramid, lag=2)]
SCHEDULES = [one for one in SCHEDULES if not isinstance(one, str) or one in schedules.SCHEDULES]
GUIDANCE = [
    *(1.0, 3.0, torch.linspace(1, 3, 8), "apg(scale=3) | cfg_zero_star(scale=2)", partial(doubled, scale=1.5), doubled),
    guidance.chain(partial(guidance.text_cfg, scale=2.0), partial(doubled, scale=1.1)),
]


@pytest.fixture(scope="module")
def model(small_nano_file):
    return pl.load(str(small_nano_file), device="cpu")


@pytest.fixture
def saved(model, tmp_path):
    """A small result with a known picture, saved."""
    result = pl.generate(model, PROMPTS[0], TASKS[1], steps=2)
    result.save(tmp_path / "r")
    return tmp_path / "r"


def same(a, b):
    assert torch.equal(a.latents, b.latents) and np.array_equal(a.video, b.video)
    assert torch.equal(a.schedule, b.schedule) and a.row == b.row


def drawn(case):
    """Options of one call, of several samples: each entry of the lists above in its turn, the others by chance."""
    rng = random.Random(case)
    task, schedule, solver, scale = (some[case % len(some)] for some in (TASKS, SCHEDULES, SOLVERS, GUIDANCE))
    prompts = PROMPTS[: 2 if task.known and task.known[0].clip.ndim == 5 else rng.choice([1, 2])]
    free = isinstance(scale, float) and scale == 1
    return {
        "prompt": prompts,
        "task": task,
        "schedule": schedule,
        "steps": rng.randint(1, 3),
        "shift": rng.choice([None, 2.0]),
        "solver": solver,
        "guidance": scale,
        "negative_prompt": "" if free else rng.choice(["", PROMPTS[1], PROMPTS[: len(prompts)]]),
        "seed": rng.choice([0, -5, 2**63 - 2, [2**40, -1][: len(prompts)]]),
    }


ALL = max(map(len, (TASKS, SCHEDULES, SOLVERS, GUIDANCE)))
"""So many cases have every entry of every list."""
MORE = [pytest.param(case, marks=pytest.mark.nightly) for case in range(ALL, 4 * ALL)]


@pytest.mark.parametrize("case", [*range(ALL), *MORE])
def test_what_was_saved_is_made_again_bit_for_bit(model, tmp_path, case):
    options = drawn(case)
    result = pl.generate(model, options.pop("prompt"), options.pop("task"), **options)
    place = tmp_path / ("folder" if case % 3 == 0 else "a.mp4" if case % 3 == 1 else "a.safetensors")
    files = result.save(place, latents=case % 2 == 0)
    assert sorted(files) == sorted(one for one in tmp_path.rglob("*") if one.is_file())
    places = [place if place.is_dir() else files[0], files[0], files[-1]]
    again = pl.rerun(places[case % 3])
    same(again, result)
    for file in places:
        found = pl.load_result(file)
        assert found.request == again.request and found.inputs.keys() == again.inputs.keys()
        assert all(torch.equal(value, again.inputs[name]) for name, value in found.inputs.items())
    assert torch.equal(found.schedule, result.schedule) and found.task == result.task
    if found.latents.numel():
        same(found.decode(model), result)
    else:
        assert found.video.shape == result.video.shape
        assert np.abs(found.video.astype(float) - result.video).mean() < 4


def test_several_videos_of_a_prompt_embeddings_and_a_cancelled_run(model, tmp_path):
    embeds, null = model.encode_text(PROMPTS[:2]), model.encode_text([PROMPTS[2]] * 2)
    given = {"prompt_embeds": embeds, "negative_prompt_embeds": null, "num_videos_per_prompt": 2, "steps": 4}
    result = pl.generate(model, **given, callback=lambda row, rows, state: row < 2)
    assert result.row == 2 and len(result.video) == 4
    result.save(tmp_path)
    same(pl.rerun(tmp_path), result)
    assert set(pl.load_result(tmp_path).inputs) == {"prompt_embeds.text", "negative_prompt_embeds.text"}


def test_the_request_is_the_whole_of_it(model, small_nano_file):
    task = TASKS[1]
    options = {"schedule": partial(steep, power=3), "steps": 3, "seed": 5, "negative_prompt": PROMPTS[2]}
    request = pl.generate(model, PROMPTS[:2], task, solver=halved, guidance=4.0, **options).request
    assert request.prompts == PROMPTS[:2] and request.negative_prompts == [PROMPTS[2]] * 2 and request.seeds == [5, 6]
    assert request.model["name"] == str(small_nano_file) and len(request.model["digest"]) == 64
    assert request.task == "image_to_video" and request.known[0]["mode"] == "hold" and request.known[0]["noise"] == 0.3
    assert request.schedule_call == f"steep(steps=3, frames=8, power=3, shift={model.geometry.shift!r})"
    assert torch.equal(torch.tensor(request.matrix), schedules.synchronous(3, 8, model.geometry.shift) ** 3)
    assert request.solver["path"] == f"{__name__}:halved" and request.guidance == 4.0
    assert request.versions["torch"] == torch.__version__ and request.device == device_name("cpu")
    assert json.loads(json.dumps(request.as_dict())) == request.as_dict()


def test_lora_files_and_strengths_are_named(tmp_path):
    from small_models.models.zoo import CHECKPOINTS

    update = CHECKPOINTS / "mini-vta.safetensors"
    model = pl.load("mini-base", lora=update, strength=1.4, device="cpu")
    result = pl.generate(model, PROMPTS[0], steps=1, guidance=1.0, latent_frames=3)
    assert result.request.model["options"] == {"lora": str(update), "strength": 1.4}
    assert result.request.model["loras"] == {str(update): pl.load("mini-vta").geometry and _sha(update)}
    result.save(tmp_path / "a.mp4")
    same(pl.rerun(tmp_path / "a.mp4"), result)


def _sha(path):
    from pusa_lab.files import digest

    return digest(path)


def test_another_process_makes_the_same_frames(saved, model):
    code = "import sys, hashlib, warnings, pusa_lab as pl; warnings.simplefilter('error'); r = pl.rerun(sys.argv[1]); "
    code += "print(hashlib.sha256(r.video.tobytes()).hexdigest())"
    done = python(code, saved)
    import hashlib

    assert done.stdout.strip() == hashlib.sha256(pl.rerun(saved).video.tobytes()).hexdigest(), done.stderr


def test_the_command_writes_what_can_be_rerun(tmp_path):
    from PIL import Image

    from pusa_lab.cli import main

    Image.fromarray(CLIP[0]).save(tmp_path / "a.png")
    words = ["--model", "nano-vta", "--steps", "2", "--image", str(tmp_path / "a.png"), "--noise", "0.3", "--seed", "3"]
    out = tmp_path / "v.mp4"
    assert main(["generate", PROMPTS[0], *words, "--schedule", "pyramid", "--out", str(out)]) == 0
    assert {one.name for one in tmp_path.iterdir()} == {"a.png", "v.mp4", "v.request.json", "v.safetensors"}
    about, result = read_metadata(out), pl.rerun(out)
    assert about["prompt"] == PROMPTS[0] and about["seed"] == 3 and about["command"].startswith("pusa-lab generate")
    task = tasks.image_to_video(CLIP[0], noise=0.3)
    model = pl.load("nano-vta")
    same(result, pl.generate(model, PROMPTS[0], task, steps=2, schedule="pyramid", seed=3))


# What is not as it was


def test_other_weights_are_refused_and_with_a_model_told(saved, model, monkeypatch):
    other = pl.load("nano-base", device="cpu")
    with pytest.warns(UserWarning, match=r"frames differ from those of .*: the model's weights \(digest \w+ instead"):
        pl.rerun(saved, model=other)
    monkeypatch.setattr("pusa_lab.results.load", lambda name, **options: other)
    with pytest.raises(ValueError, match=r"^rerun: \S+nano.safetensors has other weights here than when .* \(digest"):
        pl.rerun(saved)


def edited(folder, change):
    """The JSON of a saved result, changed."""
    path = folder / "video.request.json"
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))
    return folder


def test_other_versions_and_devices_are_told_only_if_the_frames_differ(saved):
    def older(found):
        found["request"]["versions"]["torch"] = "1.0"
        found["request"]["device"] = "NVIDIA H200"

    pl.rerun(edited(saved, older))
    edited(saved, lambda found: found.update(digest="0" * 16))
    says = f"torch {torch.__version__} instead of 1.0; the device, {device_name('cpu')} instead of NVIDIA H200"
    with pytest.warns(UserWarning, match=re.escape(says)):
        pl.rerun(saved)


def test_a_lambda_is_shown_but_must_be_given(model, tmp_path):
    result = pl.generate(model, PROMPTS[0], steps=1, solver=lambda *args, **cond: halved(*args, **cond))
    assert "<lambda> (test_rerun.py, line" in result.request.solver["shown"]
    result.save(tmp_path)
    with pytest.raises(ValueError, match=r"the solver was .*<lambda>.*, which cannot be imported: give solver="):
        pl.rerun(tmp_path)
    same(pl.rerun(tmp_path, solver=halved), result)


def test_an_own_function_that_is_gone_or_changed_is_told(model, tmp_path):
    pl.generate(model, PROMPTS[0], steps=1, solver=halved).save(tmp_path)

    def moved(found):
        found["request"]["solver"]["path"] = "nowhere_at_all:halved"

    def changed(found):
        found["request"]["solver"]["digest"], found["digest"] = "0", "0"

    with pytest.warns(UserWarning, match=r"the source of test_rerun:halved \(solver\)"):
        pl.rerun(edited(tmp_path, changed))
    with pytest.raises(
        ValueError, match=r"nowhere_at_all:halved cannot be found .*: start where nowhere_at_all can be"
    ):
        pl.rerun(edited(tmp_path, moved))


def test_a_registered_name_that_is_gone_is_told(model, tmp_path, monkeypatch):
    monkeypatch.setattr(pl.samplers.SOLVERS, "_added", {})
    pl.samplers.SOLVERS.register(halved, name="mine")
    result = pl.generate(model, PROMPTS[0], steps=1, solver="mine")
    assert result.request.own["mine"]["path"] == f"{__name__}:halved"
    result.save(tmp_path)
    same(pl.rerun(tmp_path), result)
    monkeypatch.setattr(pl.samplers.SOLVERS, "_added", {})
    pl.samplers.SOLVERS.register(solvers.euler, name="mine")
    with pytest.warns(UserWarning, match="differ from those of .*: the source of mine"):
        pl.rerun(tmp_path)
    monkeypatch.setattr(pl.samplers.SOLVERS, "_added", {})
    with pytest.raises(ValueError, match=r"'mine' is not registered here, also after importing .*: register it"):
        pl.rerun(tmp_path)


def test_a_model_of_one_s_own_must_be_given(tmp_path):
    from test_extend import model as gaussian
    from test_policies import SCALE, GaussianVideo  # noqa: F401

    own = gaussian(size=(6, 8))
    result = pl.generate(own, "", TASKS[0], steps=2, guidance=1.0)
    assert result.request.model["digest"] == "unknown"
    result.save(tmp_path)
    with pytest.raises(ValueError, match=r"was made by 'GaussianVideo', which pl.load did not make: give model="):
        pl.rerun(tmp_path)
    same(pl.rerun(tmp_path, own), result)


# Damaged and hostile files


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.update(format=2), r"is a result in format 2 \(an int\), and this pusa_lab reads format 1"),
        (lambda f: f.pop("format"), "no 'format' in it.: give a file that Result.save"),
        (lambda f: f.pop("request"), "no 'request' in it"),
        (lambda f: f.update(seconds="1"), "'seconds' is '1'"),
        (lambda f: f.update(scale=0), "'scale' is 0"),
        (
            lambda f: f.update(tensors="../other.safetensors"),
            r"refers to '../other.safetensors', which is not a file in",
        ),
        (lambda f: f.update(tensors="/etc/passwd"), "refers to '/etc/passwd', which is not a file inside"),
        (
            lambda f: f.update(tensors="none.safetensors"),
            "none.safetensors, to which the result refers, cannot be read",
        ),
        (lambda f: f.update(schedule=[[1.0], ["a"]]), "its schedule is not rows of numbers"),
        (lambda f: f.update(schedule=[[1.0] * 8, [float("nan")] * 8]), "its schedule is not rows of numbers"),
        (lambda f: f["request"].update(seeds=[1, 2]), "its entries are not for the same samples"),
        (lambda f: f["request"].update(seeds=["1"]), "'seeds' holds '1'"),
        (lambda f: f["request"].update(prompts=[]), "its entries are not for the same samples"),
        (lambda f: f["request"].update(size=[-1, 10**12]), "its entries are not for the same samples"),
        (lambda f: f["request"].pop("solver"), "no 'solver' in it"),
        (lambda f: f["request"]["model"].pop("name"), "in 'model' .no 'name' in it"),
    ],
)
@pytest.mark.parametrize("read", [pl.load_result, pl.rerun])
def test_a_damaged_request_is_one_sentence(saved, change, says, read):
    with pytest.raises(ValueError, match=says) as caught:
        read(edited(saved, change))
    assert str(caught.value).startswith(f"{read.__name__}: ") and str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("solver", "says"),
    [
        ({"path": "os:system"}, "'os:system' is not the import path of a plug-in"),
        ({"path": "subprocess:Popen", "settings": {"args": "true"}}, "is not the import path of a plug-in"),
        ({"path": "torch:Tensor"}, "a plug-in is a Python function or a dataclass"),
        ({"path": "torch;x"}, "is not the import path"),
        ({"path": 3}, "path is 3|is damaged"),
        ({"settings": {}}, "is damaged in the file"),
        ({"tensor": "x"}, "is damaged in the file"),
        ({"dtype": "nothing"}, "is damaged in the file"),
        ([[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]], "nested more than 20 deep"),
        ("rk45", "unknown solver 'rk45'"),
    ],
)
def test_a_hostile_solver_is_refused(saved, solver, says):
    with pytest.raises(ValueError, match=says):
        pl.rerun(edited(saved, lambda found: found["request"].update(solver=solver)))


def test_missing_changed_and_broken_files_are_told(saved, tmp_path):
    tensors = saved / "video.safetensors"
    whole = tensors.read_bytes()
    save_file({**load_file(tensors), "known.0": torch.zeros(1, 16, 16, 3)}, tensors)
    with pytest.raises(ValueError, match=r"has no known clip 0 as it was made with: restore the .safetensors file"):
        pl.rerun(saved)
    tensors.write_bytes(whole[:100])
    with pytest.raises(ValueError, match="to which the result refers, cannot be read"):
        pl.load_result(saved)
    with pytest.raises(ValueError, match=r"video.safetensors is not a result that can be read"):
        pl.load_result(tensors)
    tensors.write_bytes(whole)
    (saved / "video.mp4").unlink()
    with pytest.raises(ValueError, match="no clip at"):
        pl.load_result(saved)
    for path, says in (
        (tmp_path, "holds no video.request.json"),
        (tmp_path / "no.json", "no.json is not an existing file: give the path of a result"),
    ):
        with pytest.raises((ValueError, OSError), match=says):
            pl.load_result(path)


def test_a_moved_folder_is_found_and_other_names_are_refused(saved, tmp_path, model):
    shutil.move(saved, tmp_path / "elsewhere")
    pl.rerun(tmp_path / "elsewhere")
    result = pl.load_result(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"ends in \.gif: give a folder, or a name that ends in \.mp4"):
        result.save(tmp_path / "a.gif")
    with pytest.raises(ValueError, match="no request, since it was not made by generate"):
        replace(result, request=None).save(tmp_path / "b.mp4")
    bare = pl.generate(model, PROMPTS[0], steps=1, output="latents")
    with pytest.raises(ValueError, match="has no video, only latents"):
        bare.save(tmp_path / "b.mp4")


# Spelling


@pytest.mark.parametrize("value", [1, "a", None, [1.5, "b"], {"a": [1]}, torch.arange(3.0), torch.bfloat16, Powered(3)])
def test_values_are_spelled_and_made_again(value):
    back = spelled_back(json.loads(json.dumps(spelled(value))), "the value")
    assert torch.equal(back, value) if isinstance(value, torch.Tensor) else back == value


def test_functions_are_spelled_by_path():
    assert plug_in(spelled(halved)["path"]) is halved
    partially = spelled_back(spelled(partial(doubled, scale=3)), "the guider")
    assert partially.func is doubled and partially.keywords == {"scale": 3}
    assert Path(__file__).name in spelled(lambda: 0)["shown"]
