"""pytest tests/test_extending.py: every snippet of docs/extending.md runs, and what it registers is used by name."""

import re
import shlex
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

import pusa_lab as pl
from pusa_lab.cli import main
from pusa_lab.data import read_picture
from pusa_lab.media import read_metadata
from pusa_lab.training import TrainConfig
from pusa_lab.training.forcing import HistoryInputs
from small_models.evaluation import suite
from small_models.world import WORLDS, draw_scenes, render

pytestmark = pytest.mark.artefact

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.S)
PROMPT = "a red circle moves right"
STILL = ROOT / "notebooks" / "assets" / "still.png"
REGISTRIES = (
    *(pl.schedules.SCHEDULES, pl.schedules.SIGMAS, pl.schedules.TIMESTEP_SAMPLERS, pl.solvers.SOLVERS),
    *(pl.guidance.GUIDERS, pl.tasks.TASKS, pl.tasks.MODES, pl.losses.WEIGHTS, pl.metrics.METRICS, WORLDS),
    pl.models.FAMILIES,
    pl.training.HISTORIES,
)


@pytest.fixture(autouse=True)
def extended(monkeypatch):
    for registry in REGISTRIES:
        monkeypatch.setattr(registry, "_added", dict(registry._added))
    space = {}
    for snippet in SNIPPETS:
        exec(compile(snippet, "docs/extending.md", "exec"), space)
    return space


def test_every_snippet_is_shorter_than_15_lines():
    assert len(SNIPPETS) == PAGE.count("\n## A ") + 2  # what needs no registry: a metric of a sweep, a model
    for snippet in SNIPPETS:
        assert sum(bool(line.strip()) for line in snippet.splitlines()) < 15, snippet


def test_the_table_names_every_registry_and_its_group():
    for registry in REGISTRIES:
        assert f"`{registry.group}`" in PAGE, registry


def test_a_schedule_a_solver_and_a_guider_are_named_in_generate(nano_vta):
    assert pl.schedules.faults(pl.schedules.SCHEDULES["late"](4, 8, shift=3.0)) == []
    options = {"schedule": "late", "solver": "averaged", "guidance": "sharper(scale=3)", "steps": 2}
    result = pl.generate(nano_vta, PROMPT, **options)
    assert result.schedule.shape == (5, 8)
    assert result.calls == 4 * 2 * 2


def test_a_stateful_solver_starts_afresh_in_every_run(nano_vta):
    ours, again, euler = (
        pl.generate(nano_vta, PROMPT, solver=solver, steps=3, output="latents").latents
        for solver in ("smoothed", "smoothed", "euler")
    )
    torch.testing.assert_close(ours, again, rtol=0, atol=0)
    assert (ours - euler).abs().max() > 1e-3


def test_a_guider_of_one_s_own_is_text_guidance_where_all_is_noise(nano_vta, extended):
    x, tau = torch.randn(2, 3, 8, 16, 16), torch.ones(2, 8)
    cond, null = nano_vta.encode_text([PROMPT] * 2), nano_vta.encode_text([""] * 2)
    ours, theirs = extended["sharper"](nano_vta, null, 3.0), pl.guidance.text_cfg(nano_vta, null, 3.0)
    with torch.no_grad():
        torch.testing.assert_close(ours(x, tau, **cond), theirs(x, tau, **cond))


def test_a_task_and_a_mode_keep_their_frames(nano_vta, extended):
    picture = read_picture(STILL)
    result = pl.generate(nano_vta, PROMPT, extended["bookends"](picture), steps=2)
    known = nano_vta.encode_video(pl.pixels.crop_and_resize(pl.pixels.to_pixels(picture), nano_vta.geometry.size))
    torch.testing.assert_close(result.latents[:, :, [0, -1]], known.expand(-1, -1, 2, -1, -1))
    task = pl.tasks.image_to_video(picture, noise=0.4, mode="fading")
    result = pl.generate(nano_vta, PROMPT, task, steps=10)
    torch.testing.assert_close(result.schedule[:, 0], result.schedule[:, 1].clamp(max=0.4))
    torch.testing.assert_close(result.latents[:, :, :1], known)


def test_a_mode_that_loses_rows_is_told(nano_vta):
    pl.tasks.MODES.register(pl.tasks.Mode(levels=lambda column, m: column[1:]), name="short")
    with pytest.raises(ValueError, match="the mode short returned 10 levels for 11 rows: it must keep them all"):
        pl.generate(nano_vta, PROMPT, pl.tasks.image_to_video(read_picture(STILL), mode="short"))


@pytest.mark.parametrize(
    ("levels", "sentence"),
    [
        (lambda column, m: 2 + 0 * column, "row 0: 2 is outside"),
        (lambda column, m: column - 1, "row 1: -0.1 is outside"),
        (lambda column, m: column * float("nan"), "row 0: nan is outside"),
        (lambda column, m: column.flip(0), "row 1: 0.1 rises above the row before"),
        (lambda column, m: column.clamp(min=0.5), "row 10: 0.5 should be 0: every frame ends clean"),
    ],
)
def test_levels_that_are_not_valid_are_told_of_the_mode(levels, sentence, nano_vta):
    pl.tasks.MODES.register(pl.tasks.Mode(levels=levels), name="mine")
    with pytest.raises(ValueError, match=f"the mode mine returned levels that are not valid: {sentence}") as caught:
        pl.generate(nano_vta, PROMPT, pl.tasks.image_to_video(read_picture(STILL), mode="mine"))
    assert "whole" not in str(caught.value) and "denoiser" not in str(caught.value)


@pytest.mark.parametrize(
    ("levels", "sentence"),
    [
        (0.5, r"tasks.Mode: levels is 0.5 \(a float\): give a function"),
        (lambda c: c, "function of 2 arguments or more"),
    ],
)
def test_a_mode_without_a_fitting_function_is_refused(levels, sentence, as_user):
    with pytest.raises(ValueError, match=sentence):
        pl.tasks.Mode(levels=levels)


@pytest.mark.parametrize(
    ("maker", "sentence"),
    [
        (lambda: 3, "the timestep sampler mine returned 3 .an int.: it must return a function"),
        (lambda: lambda batch: 3, "the timestep sampler mine returned a function: it must return a function of 3 arg"),
    ],
)
def test_a_maker_that_makes_no_timestep_sampler_is_told(maker, sentence):
    pl.schedules.TIMESTEP_SAMPLERS.register(maker, name="mine")
    with pytest.raises(ValueError, match=sentence):
        TrainConfig(timestep_sampler="mine")


def test_a_schedule_of_another_number_of_frames_is_told_by_its_name(nano_vta):
    pl.schedules.SCHEDULES.register(lambda steps, frames: pl.schedules.synchronous(steps, 5), name="five")
    with pytest.raises(ValueError, match="generate: the schedule five returned 5 columns for frames=8: return one per"):
        pl.generate(nano_vta, PROMPT, schedule="five", latent_frames=8)


def test_a_timestep_sampler_and_a_weight_take_settings_in_a_configuration():
    config = TrainConfig(timestep_sampler="two_groups(split=3)", weight="middle(power=2)")
    tau = config.make_timestep_sampler()(500, 8, torch.Generator().manual_seed(0))
    assert (tau[:, :3] == tau[:, :1]).all() and (tau[:, 3:] == tau[:, 7:]).all() and (tau[:, 0] != tau[:, 7]).all()
    torch.testing.assert_close(config.make_weight()(tau), 6 * (tau * (1 - tau)) ** 2)
    nested = TrainConfig(timestep_sampler="clean_prefix(k=2, rest=two_groups(split=1))").make_timestep_sampler()
    tau = nested(500, 5, torch.Generator().manual_seed(0))
    assert (tau[:, :2] == 0).all() and (tau[:, 3:] == tau[:, 4:]).all() and (tau[:, 2] != tau[:, 3]).all()
    both = re.search(r'`"(mixture\(.*\))"`', PAGE)[1]
    shares = pl.schedules.task_shares(TrainConfig(timestep_sampler=both).make_timestep_sampler())
    assert abs(shares["asynchronous"] - 0.25) < 0.02 and min(shares.values()) > 0


def test_a_history_takes_settings_in_a_configuration():
    config = TrainConfig(history="still(share=0.5)", causal=2)
    x0 = torch.randn(400, 3, 4, 2, 2)
    g = torch.Generator().manual_seed(0)
    given = HistoryInputs(None, x0, x0, torch.ones(400, 4), lambda make, shape: make((400, *shape), generator=g), {})
    past = config.make_history()(given)
    stands = (past == x0[:, :, :1]).flatten(1).all(1)
    assert torch.equal(past[~stands], x0[~stands]) and abs(stands.float().mean() - 0.5) < 0.07


@pytest.mark.parametrize(
    ("field", "text", "sentence"),
    [
        ("weight", "centre", "weight='centre': unknown weight 'centre': choose one of uniform, free_frames, bell"),
        (
            "weight",
            "middle(force=2)",
            r"weight='middle\(force=2\)': the weight middle has no setting 'force': its settings",
        ),
        ("weight", "middle(pow=2)", "has no setting 'pow': did you mean 'power'"),
        ("weight", "middle(power='a')", "fails with these settings: give others, or correct its function"),
        ("weight", "bell(x=1)", r"weight='bell\(x=1\)': the weight bell has no setting 'x': it has none"),
        ("timestep_sampler", "mixed(p=2)", "the timestep sampler mixed has no setting 'p': did you mean 'p_async'"),
        ("timestep_sampler", "mixed(p_async=nan)", "the timestep sampler mixed: p_async=nan: give finite numbers"),
        ("timestep_sampler", "shared(3)", "the timestep sampler shared has no settings: leave 3 out"),
        ("timestep_sampler", "direct", "unknown timestep sampler 'direct': choose one of shared, independent"),
        ("timestep_sampler", "clean_prefix(k=2, rest=two)", "clean_prefix: rest=two: give a value as Python writes it"),
        ("history", "still(part=1)", r"history='still\(part=1\)': the history still has no setting 'part'"),
        ("history", "noised(level=-1)", r"history='noised\(level=-1\)': level=-1: give a number in"),
        ("weight", "min_snr(gamma=-1)", r"weight='min_snr\(gamma=-1\)': .*gamma=-1"),
        ("timestep_sampler", "two_groups(split=3", r"is not a name with settings"),
        (
            "timestep_sampler",
            "two_groups | shared",
            r"='two_groups \| shared' names 2 of them: give one timestep sampler",
        ),
    ],
)
def test_settings_that_do_not_fit_are_told(field, text, sentence):
    with pytest.raises(ValueError, match=sentence):
        TrainConfig(**{field: text})


@pytest.mark.parametrize(
    ("weight", "sentence"),
    [
        (lambda tau: -torch.ones_like(tau), "weight='mine' is negative, 0 everywhere or not finite"),
        (torch.zeros_like, "weight='mine' is negative, 0 everywhere or not finite"),
        (lambda tau: tau[:, :1], r"the weight mine returned shape \(1, 1\) for tau of shape \(1, 32\)"),
    ],
)
def test_weights_that_teach_nothing_are_refused(weight, sentence):
    pl.losses.WEIGHTS.register(weight, name="mine")
    with pytest.raises(ValueError, match=sentence):
        TrainConfig(weight="mine")


@pytest.mark.parametrize(
    ("text", "words", "sentence"),
    [
        ("def f(:", [], "line 1: SyntaxError: invalid syntax"),
        ("\nimport no_such_package", [], "line 2: ModuleNotFoundError: No module named 'no_such_package'"),
        ("{}def mine(picture): ...", [], "the task mine returned None: it must return"),
        ("{}def mine(picture): ...", ["--mode", "hold"], "--mode is not for the task mine: leave it out."),
    ],
)
def test_faults_of_an_imported_file_are_told(text, words, sentence, tmp_path, capsys):
    mine = tmp_path / "mine.py"
    mine.write_text(text.format("import pusa_lab as pl\n@pl.tasks.TASKS.register\n"))
    task = [
        "--task",
        "mine",
        "--task-options.picture",
        str(STILL),
        "--model",
        "nano-vta",
        "--out",
        str(tmp_path / "v.mp4"),
    ]
    assert main(["--import", str(mine), "generate", PROMPT, "--steps", "1", *task, *words]) == 2
    assert sentence in capsys.readouterr().err


def test_a_metric_is_a_column_of_the_suite_and_a_world_has_scenes():
    scenes = draw_scenes(3, 0, WORLDS["calm"])
    assert (scenes.present.sum(1) == 1).all()
    truth = render(scenes, 5, 32)
    found = suite.fidelity(truth.flip(2), truth, scenes)
    want = 127.5 * (truth.flip(2) - truth).abs().mean(dim=(1, 3, 4))
    torch.testing.assert_close(found["mean_error_frame"], want)
    torch.testing.assert_close(found["mean_error"], want.mean(1))


def test_a_family_is_loaded_by_name(extended):
    assert type(pl.load("my-toy")).__name__ == "ToyModel"
    assert {field.name for field in fields(extended["family"])} >= {"name", "what", "knows", "load", "load_encoders"}


COMMANDS = re.search(r"```sh\n(.*?)```", PAGE, re.S)[1].replace("\\\n", " ").splitlines()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the page's snippets as a file, which is the current one; nothing is registered yet."""
    for registry in REGISTRIES:
        monkeypatch.setattr(registry, "_added", {})
    (tmp_path / "mine.py").write_text("\n".join(SNIPPETS))
    (tmp_path / "mine.yaml").write_text(re.search(r"```yaml\n(.*?)```", PAGE, re.S)[1])
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop(str(tmp_path / "mine.py"), None)


@pytest.mark.usefixtures("measured_in_two_steps")
@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: shlex.split(line)[1])
def test_the_commands_of_the_page_run(line, folder, capsys):
    assert main(shlex.split(line)[1:]) == 0, capsys.readouterr().err
    if line.startswith("pusa-lab generate"):
        (file,) = folder.glob("outputs/*.mp4")
        own = read_metadata(file)["request"]["own"]
        assert "mine.py:sharper" in own and all(one["file"] == str(folder / "mine.py") for one in own.values())


def test_the_command_line_imports_a_file_first(tmp_path, monkeypatch, capsys):
    for registry in REGISTRIES:
        monkeypatch.setattr(registry, "_added", {})
    mine, out = tmp_path / "mine.py", tmp_path / "v.mp4"
    mine.write_text("\n".join(SNIPPETS))
    words = ["generate", PROMPT, "--model", "my-toy", "--steps", "2", "--out", str(out), "--schedule", "late"]
    words += [
        "--task",
        "bookends",
        "--task-options.picture",
        str(STILL),
        "--noise",
        "0.2",
        "--guidance",
        "sharper(scale=2)",
    ]
    assert main(words) == 2
    assert main(["--import", str(mine), *words]) == 0, capsys.readouterr().err
    about = read_metadata(out)
    assert about["task"] == "bookends" and np.array(about["schedule"])[:, 0].max() == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--import"], "pusa-lab: --import without a file: give the path of a Python file, before the command."),
        (
            ["--import", "nowhere.py", "doctor"],
            "pusa-lab: --import 'nowhere.py' is not an existing .py file: give the path of a Python file, before",
        ),
        (["generate", PROMPT, "--task", "nothing"], "unknown task 'nothing': choose one of text_to_video"),
        (["generate", PROMPT, "--task", "bookends"], "the task bookends needs picture: give --task-options.picture."),
        (
            ["generate", PROMPT, "--task", "bookends", "--task-options.colour", "1"],
            "no option 'colour' for the task bookends",
        ),
        (
            ["generate", PROMPT, "--task-options.picture", "a.png"],
            "--task-options was given without --task: give both.",
        ),
        (["generate", PROMPT, "--task", "loop", "--image", str(STILL)], "both --image and --task were given"),
    ],
)
def test_what_is_not_there_is_told(words, sentence, capsys):
    assert main(words) == 2
    assert sentence in capsys.readouterr().err


TYPED = """
import pusa_lab as pl
from pathlib import Path
@pl.tasks.TASKS.register
def mine(
    picture, flag: bool = False, title: str = "", at: list[int] | None = None, path: Path | None = None, **more: float
):
    print("got", flag, repr(title), at, path, more)
    return pl.tasks.image_to_video(picture)
"""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["flag", "maybe"], "generate: --task-options.flag 'maybe': give true or false."),
        (["flag", "1"], "generate: --task-options.flag 1: give true or false."),
        (
            ["title", "3"],
            """generate: --task-options.title 3: give a text, as in --task-options '{"title": "3"}'.""",
        ),
        (["at", "[0, x]"], "generate: --task-options.at[1] 'x': give a whole number."),
        (["other", "fast"], "generate: --task-options.other 'fast': give a number."),
        (["picture", "[1, 2]"], "generate: picture has shape (2,): give one picture"),
    ],
)
def test_options_of_a_task_are_checked_by_its_annotations_before_a_model_is_read(
    tmp_path, monkeypatch, capsys, words, says
):
    monkeypatch.setattr("pusa_lab.models.load", lambda *_, **__: pytest.fail("a model was read"))
    (tmp_path / "mine.py").write_text(TYPED)
    picture = [] if words[0] == "picture" else ["--task-options.picture", str(STILL)]
    line = ["--import", str(tmp_path / "mine.py"), "generate", PROMPT, "--task", "mine", *picture]
    assert main([*line, f"--task-options.{words[0]}", words[1], "--out", str(tmp_path / "v.mp4")]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1


def test_options_of_a_task_are_converted_by_its_annotations(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(TYPED)
    options = {"picture": STILL, "flag": "no", "title": "a.png", "at": "[1, 2]", "path": "b.png", "other": "3"}
    words = [word for name, value in options.items() for word in (f"--task-options.{name}", str(value))]
    line = [
        "--import",
        str(tmp_path / "mine.py"),
        "generate",
        PROMPT,
        "--model",
        "nano-vta",
        "--steps",
        "1",
        "--task",
        "mine",
        *words,
    ]
    assert main([*line, "--out", str(tmp_path / "v.mp4")]) == 0
    assert "got False 'a.png' [1, 2] b.png {'other': 3}" in capsys.readouterr().out
    assert read_metadata(tmp_path / "v.mp4")["task"] == "image_to_video"
