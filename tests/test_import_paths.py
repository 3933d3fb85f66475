"""pytest tests/test_import_paths.py: a file or module of one's own, wherever a name is taken."""

import hashlib
import json
import shlex
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from plug_ins import write_plug_ins

import pusa_lab as pl
from pusa_lab.cli import main
from pusa_lab.import_paths import import_paths, is_import_path
from pusa_lab.media import read_metadata
from pusa_lab.training import TrainConfig

PROMPT = "a red circle moves right"
STILL = "notebooks/assets/still.png"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, beside that of the plug-ins; nothing of earlier tests is imported."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = set(sys.modules)
    yield tmp_path / "here"
    for name in set(sys.modules) - before:
        if name in ("plugs", "beside") or name.startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def plugs(here):
    """The file of plug-ins, as it is written from the current folder."""
    write_plug_ins(here.parent / "mine")
    return "../mine/plugs.py"


@pytest.fixture
def small(small_nano, monkeypatch):
    """Any toy does here: a small one has the name of a shipped one."""
    monkeypatch.setattr("small_models.models.zoo.load", lambda *_, **__: small_nano)


@pytest.fixture
def run(capsys):
    """Runs a command, which succeeds; gives what it printed."""

    def command(*words):
        code = main(list(map(str, words)))
        said = capsys.readouterr()
        assert code == 0, said.err
        return said.out

    return command


def names(about, path):
    """Whether a file, function and digests are named."""
    file = path.resolve()
    return about["file"] == str(file) and about["file_digest"] == hashlib.sha256(file.read_bytes()).hexdigest()[:16]


GENERATE = {
    "--schedule": ("{}:late(wait=2)", lambda p: {"schedule": "pyramid(lag=2)"}),
    "--solver": ("{}:averaged", lambda p: {"solver": "heun"}),
    "--guidance": (
        "{}:sharper(scale=3) | apg(scale=1.5)",
        lambda p: {"guidance": "text_cfg(scale=4) | apg(scale=1.5)"},
    ),
}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("option", GENERATE)
def test_generate_takes_a_file_and_its_command_is_run_again_elsewhere(option, plugs, here, run, monkeypatch):
    text, same = GENERATE[option]
    words = ["generate", PROMPT, "--model", "nano-vta", "--steps", "2", "--out", "v.mp4", option, text.format(plugs)]
    run(*words)
    about = read_metadata(here / "v.mp4")
    (key, own), *_ = about["request"]["own"].items()
    assert key.startswith(f"{plugs}:") and names(own, here / plugs)
    assert own["path"] == f"{(here / plugs).resolve()}:{key.rpartition(':')[2]}"
    result = pl.generate(pl.load("nano-vta"), PROMPT, steps=2, **same(plugs))
    assert about["digest"] == pl.digests.array_digest(result.latents)
    elsewhere = here.parent / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    run(*shlex.split(about["command"])[1:])
    again = read_metadata(elsewhere / "v.mp4")
    assert again["digest"] == about["digest"] and again["command"] == about["command"]


@pytest.mark.usefixtures("small")
def test_tasks_modes_and_models_are_taken_from_a_file(plugs, here, run, pytestconfig):
    still = pytestconfig.rootpath / STILL
    words = ["--model", f"{plugs}:make", "--steps", "2", "--task", f"{plugs}:bookends", "--task-options.picture", still]
    run("generate", PROMPT, *words, "--noise", "0.2", "--out", "v.mp4")
    about = read_metadata(here / "v.mp4")
    assert about["task"] == "bookends" and np.array(about["schedule"])[:, 0].max() == pytest.approx(0.2)
    model = about["request"]["model"]
    assert model["name"] == f"{(here / plugs).resolve()}:make" and len(model["digest"]) == 16
    run("generate", PROMPT, "--image", still, "--noise", "0.4", "--mode", f"{plugs}:fading", "--out", "m.mp4")
    about = read_metadata(here / "m.mp4")
    assert np.array(about["schedule"])[:, 0].max() == pytest.approx(0.4)
    assert names(about["request"]["own"][f"{plugs}:fading"], here / plugs)


@pytest.mark.usefixtures("small")
def test_a_yaml_names_files_beside_it_and_modules_of_the_folder(plugs, here, run):
    (here.parent / "mine" / "c.yaml").write_text(
        yaml.safe_dump(
            {"schedule": "plugs.py:late(wait=2)", "solver": "plugs:averaged", "steps": 2, "model": "nano-vta"}
        )
    )
    run("generate", PROMPT, "--config", "../mine/c.yaml", "--out", "v.mp4")
    about = read_metadata(here / "v.mp4")
    assert str(here.parent / "mine" / "c.yaml") in about["command"]
    assert about["request"]["schedule_call"].startswith("late(steps=2, frames=8, wait=2, ")
    assert set(about["request"]["own"]) == {"plugs.py:late", "plugs:averaged"}


@pytest.mark.usefixtures("small")
def test_a_module_of_the_current_folder_is_found_and_the_command_names_its_file(here, run):
    path = write_plug_ins(here)
    words = ["--model", "nano-vta", "--steps", "1", "--out", "v.mp4"]
    run("generate", PROMPT, *words, "--schedule", "plugs:late(wait=1)")
    about = read_metadata(here / "v.mp4")
    assert f"{path}:late(wait=1)" in about["command"] and about["options"]["schedule"] == "plugs:late(wait=1)"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("solver", ["averaged", "Powered", "Powered(power=0.5)"])
def test_a_solver_is_a_function_or_a_class_with_settings(solver, plugs, here):
    model = pl.load("nano-vta")
    found = pl.generate(model, PROMPT, solver=f"{plugs}:{solver}", steps=2, guidance=1.0)
    plain = pl.generate(model, PROMPT, solver="heun" if solver == "averaged" else "euler", steps=2, guidance=1.0)
    assert torch.equal(found.latents, plain.latents) == ("0.5" not in solver)
    assert found.request.solver["path"] == f"{(here / plugs).resolve()}:{solver.partition('(')[0]}"


@pytest.mark.usefixtures("small")
def test_settings_as_text_are_for_schedules_and_solvers_too():
    model = pl.load("nano-vta")
    texts = pl.generate(model, PROMPT, schedule="pyramid(lag=2)", solver="churn(amount=0.3, seed=1)", steps=2)
    pyramid = pl.schedules.SCHEDULES["pyramid"]
    objects = pl.generate(
        model,
        PROMPT,
        schedule=lambda steps, frames, shift: pyramid(steps, frames, lag=2, shift=shift),
        solver=pl.solvers.Churn(0.3, seed=1),
        steps=2,
    )
    assert torch.equal(texts.latents, objects.latents)
    assert texts.request.schedule_call == f"pyramid(steps=2, frames=8, lag=2, shift={model.geometry.shift!r})"
    shifted = pl.generate(model, PROMPT, schedule="pyramid(lag=2, shift=2.0)", steps=2)
    assert torch.equal(shifted.schedule, pyramid(2, 8, lag=2, shift=2.0))
    with pytest.raises(ValueError, match="the schedule pyramid takes no shift, but shift=3"):
        pl.generate(model, PROMPT, schedule="pyramid(shift=2.0)", shift=3.0)


def test_a_timestep_sampler_and_a_weight_are_taken_from_a_file(plugs):
    config = TrainConfig(
        timestep_sampler=f"clean_prefix(k=1, rest={plugs}:walk(split=3))", weight=f"{plugs}:middle(power=2)"
    )
    tau = config.make_timestep_sampler()(100, 8, torch.Generator().manual_seed(0))
    assert (tau[:, 0] == 0).all() and (tau[:, 1:4] == tau[:, 1:2]).all() and (tau[:, 4:] == tau[:, 4:5]).all()
    torch.testing.assert_close(config.make_weight()(tau), 6 * (tau * (1 - tau)) ** 2)
    assert set(config.plugged_in()) == {f"{plugs}:walk", f"{plugs}:middle"}


@pytest.mark.usefixtures("measured_in_two_steps")
def test_training_takes_a_file_and_its_card_names_it(plugs, here, run, monkeypatch):
    from small_models.world import WORLDS

    monkeypatch.setattr(WORLDS, "_added", {})
    settings = [
        "--timestep-sampler",
        f"{plugs}:walk(split=3)",
        "--weight",
        f"{plugs}:middle",
        "--data",
        f"{plugs}:calm",
    ]
    run("train", "--model", "nano", "--stage", "vta", "--fast", *settings, "--max-steps", "2", "--out", "out")
    card = json.loads((here / "out" / "nano-vta.json").read_text())
    assert set(card["own"]) == {f"{plugs}:walk", f"{plugs}:middle", f"{plugs}:calm"}
    assert all(names(own, here / plugs) for own in card["own"].values())
    assert card["config"]["timestep_sampler"] == f"{plugs}:walk(split=3)" and card["data"].startswith("calm, ")
    monkeypatch.setattr(WORLDS, "_added", {})  # as in another process, which does not import the world
    assert pl.load(here / "out" / "nano-vta.safetensors").preset["world"] == "calm"
    (here.parent / "elsewhere").mkdir()
    monkeypatch.chdir(here.parent / "elsewhere")
    run(*shlex.split(card["command"])[1:])
    again = json.loads((here.parent / "elsewhere" / "out" / "nano-vta.json").read_text())
    assert again["sha256"] == card["sha256"]


@pytest.mark.usefixtures("measured_in_two_steps")
def test_a_run_is_resumed_with_the_same_code_alone(plugs, here, run, capsys):
    words = ["train", "--model", "nano", "--stage", "vta", "--fast", "--weight", f"{plugs}:middle", "--out", "out"]
    run(*words, "--max-steps", "1", "--logs", "logs", "--save-every", "1")
    path = here / plugs
    path.write_text(path.read_text().replace("return 6 *", "return 5 *"))
    resume = ["--max-steps", "2", "--logs", "logs", "--resume", "logs/last.ckpt"]
    assert main([*words, *resume]) == 2
    assert f"is of a run with {plugs}:middle=" in capsys.readouterr().err


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sweep_takes_files_in_every_entry(workers, plugs, here, run):
    entries = {
        "settings": {
            "model": f"{plugs}:make",
            "schedule": [f"{plugs}:late(wait=2)", "synchronous"],
            "solver": f"{plugs}:Powered(power=0.9)",
            "guidance": f"{plugs}:sharper(scale=2)",
            "steps": 1,
        },
        "prompts": f"{plugs}:prompts",
        "metrics": [f"{plugs}:brightness", f"{plugs}:against"],
        "truth": f"{plugs}:truth",
        "cache": "cache",
        "table": "table.csv",
    }
    (here / "c.yaml").write_text(yaml.safe_dump(entries))
    run("sweep", "c.yaml", "--workers", workers)
    table = pd.read_csv(here / "table.csv")
    assert list(table.status) == ["done"] * 4, table.error.tolist()
    assert {"brightness", "against"} <= set(table.columns) and table.brightness.nunique() == 4
    rows = {path: path.stat().st_mtime_ns for path in (here / "cache").rglob("*.json")}
    run("sweep", "c.yaml")
    assert rows == {path: path.stat().st_mtime_ns for path in (here / "cache").rglob("*.json")}


def test_a_sweep_calls_a_function_of_a_file(here, run):
    (here / "f.py").write_text("def power(a, seed):\n    return a ** 2 + seed\n")
    words = ["sweep", "--model", "f.py:power", "--settings", "{a: [1, 2]}", "--cache", "c", "--table", "t.csv"]
    run(*words, "--workers", "2")
    assert list(pd.read_csv(here / "t.csv").value) == [1, 4]


FAULTS = {
    "nothing.py:f": "'nothing.py:f' cannot be imported (there is no file 'nothing.py'): give module:name, of a module",
    "no_such_module:f": "'no_such_module:f' cannot be imported (No module named 'no_such_module'): give module:name",
    "good.py:lat": "'good.py:lat' cannot be imported (good.py has no attribute 'lat'): did you mean 'late'?",
    "good:lat": "'good:lat' cannot be imported (good has no attribute 'lat'): did you mean 'late'?",
    "fails.py:f": "'fails.py:f' cannot be imported ({}/fails.py, line 3: ZeroDivisionError: division by zero): correct",
    "fails:f": "'fails:f' cannot be imported ({}/fails.py, line 3: ZeroDivisionError: division by zero): correct it",
    "typo.py:f": "'typo.py:f' cannot be imported ({}/typo.py, line 2: SyntaxError: invalid syntax): correct it",
    "ends.py:f": "'ends.py:f' cannot be imported ({}/ends.py, line 2: SystemExit: 3): correct it, and try again.",
    "needs.py:f": "({}/needs.py, line 1: ModuleNotFoundError: No module named 'not_there_at_all'): correct it",
    "part.py:f": "({}/part.py, line 1: ImportError: attempted relative import with no known parent package): correct",
    "good.py:number": "the schedule good.py:number is 3: give a function (steps, frames, shift=1.0)",
    "good.py:late(weight=2)": "the schedule good.py:late has no setting 'weight': did you mean 'wait'?",
    "good.py:late(2)": "the schedule good.py:late takes its settings by name: write wait=2.",
    "good.py:late(wait=": "'good.py:late(wait=' is not a name with settings, such as name(setting=1).",
    "good.py:late | good.py:late": "names 2 of them: give one schedule.",
    "json:loads": "the schedule json:loads takes (s, *, cls=None,",
}


@pytest.mark.parametrize("text", FAULTS)
def test_what_cannot_be_plugged_in_is_told_in_one_sentence(text, here, capsys):
    (here / "good.py").write_text("number = 3\ndef late(steps, frames, shift=1.0, wait=1):\n    pass\n")
    (here / "fails.py").write_text("def f():\n    return 1 / 0\nf = [1 / 0 for _ in range(1)]\n")
    (here / "typo.py").write_text("x = 1\nx = = 2\n")
    (here / "ends.py").write_text("import sys\nsys.exit(3)\n")
    (here / "needs.py").write_text("import not_there_at_all\n")
    (here / "part.py").write_text("from . import good\n")
    assert main(["generate", PROMPT, "--model", "nano-vta", "--schedule", text]) == 2
    said = capsys.readouterr().err
    for name in ("good", "fails"):
        sys.modules.pop(name, None)
    assert FAULTS[text].format(here) in said and said.count("\n") == 1, said
    assert not (here / "outputs").exists()


def test_a_file_is_run_again_when_it_has_changed(here):
    (here / "a.py").write_text("def made(steps, frames):\n    return 1\n")
    first = pl.schedules.SCHEDULES.find("a.py:made")
    assert pl.schedules.SCHEDULES.find("a.py:made") is first
    (here / "a.py").write_text("def made(steps, frames):\n    return 2\n")
    assert pl.schedules.SCHEDULES.find("a.py:made")(1, 1) == 2


def test_import_paths_are_found_outside_quotes():
    text = "clean_prefix(k=2, rest=a/b.py:walk(name='no.py:f', of=x.y:z)) | my dir/c.py:Class.method"
    assert import_paths(text) == ["a/b.py:walk", "x.y:z", "my dir/c.py:Class.method"]
    assert is_import_path("a:b") and is_import_path("C:\\x\\a.py:b") and not is_import_path("a red circle: b")
    assert not any(map(is_import_path, ["", "a", ":a", "a:", "a.py", "1:2", "a:b(c=1)", None, 3]))


EVIL = """
from pathlib import Path
Path(__file__).with_name("ran").touch()
def f(*args, **settings):
    return args
"""


def named_in(field, text):
    """Put a text into a saved request."""

    def change(request):
        if field == "mode":
            request["known"][0]["mode"] = text
        elif field == "model":
            request["model"]["name"] = text
        elif field == "own":
            request["solver"], request["own"] = "mine", {"mine": {"path": text, "digest": "0"}}
        else:
            request[field] = text

    return change


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("text", ["{}/evil.py:f", "evil.py:f", "evil:f", "hold(exact={}/evil.py:f)"])
@pytest.mark.parametrize("field", ["solver", "guidance", "mode", "model"])
def test_a_saved_result_runs_no_code_that_its_texts_name(field, text, here):
    (here / "evil.py").write_text(EVIL)
    task = pl.tasks.image_to_video(np.zeros((16, 16, 3), np.uint8))
    pl.generate(pl.load("nano-vta"), PROMPT, task, steps=1).save(here / "r")
    file = here / "r" / "video.request.json"
    found = json.loads(file.read_text())
    named_in(field, text.format(here))(found["request"])
    file.write_text(json.dumps(found))
    assert pl.load_result(here / "r").request.prompts == [PROMPT]
    with pytest.raises(ValueError, match=r"evil(\.py)?:f, which is imported only where you name it|no model '"):
        pl.rerun(here / "r")
    assert not (here / "ran").exists()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("field", ["solver", "guidance", "own"])
def test_rerun_runs_no_file_that_a_saved_result_names(field, here):
    (here / "evil.py").write_text(EVIL)
    pl.generate(pl.load("nano-vta"), PROMPT, steps=1).save(here / "r")
    file = here / "r" / "video.request.json"
    found = json.loads(file.read_text())
    path = f"{here}/evil.py:f"
    named_in(field, path if field == "own" else {"path": path, "digest": "0"})(found["request"])
    file.write_text(json.dumps(found))
    with pytest.raises(ValueError, match="is in a file, which is run only where you name it: give it as an argument"):
        pl.rerun(here / "r")
    assert not (here / "ran").exists()


@pytest.mark.usefixtures("small")
def test_a_result_of_a_file_is_made_again_with_what_is_given(plugs, here):
    model = pl.load(f"{plugs}:make")
    result = pl.generate(model, PROMPT, schedule=f"{plugs}:late(wait=2)", solver=f"{plugs}:Powered(power=0.9)", steps=2)
    result.save(here / "r")
    with pytest.raises(ValueError, match="which is imported only where you name it: give model= if you trust it"):
        pl.rerun(here / "r")
    with pytest.raises(ValueError, match="is in a file, which is run only where you name it"):
        pl.rerun(here / "r", model)
    again = pl.rerun(here / "r", pl.load(f"{plugs}:make"), solver=f"{plugs}:Powered(power=0.9)")
    assert torch.equal(again.latents, result.latents) and again.request.own == result.request.own


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("module", ["plugs", "../mine/plugs.py"])
def test_a_guider_by_import_path_is_found_again_or_given(module, plugs, here, monkeypatch):
    monkeypatch.syspath_prepend(str(here.parent / "mine"))
    guider = f"{module}:sharper(scale=3)"
    result = pl.generate(pl.load("nano-vta"), PROMPT, guidance=guider, steps=2)
    result.save(here / "r")
    if module == "plugs":
        assert torch.equal(pl.rerun(here / "r").latents, result.latents)
    assert torch.equal(pl.rerun(here / "r", guidance=guider).latents, result.latents)


def test_a_page_and_a_checkpoint_run_no_code(here):
    from pusa_lab.studio.session import Session
    from small_models.models.presets import OddError, check_toy
    from small_models.models.toy import PRESETS

    (here / "evil.py").write_text(EVIL)
    session = Session(pl.load("nano-vta"))
    for message in (
        {"do": "load", "name": "evil.py:f", "arguments": {}},
        {"do": "policy", "index": 0, "mode": "evil:f"},
    ):
        session.do(message)
        assert "register what it names" in session.error, session.error
    with pytest.raises(OddError, match=r"world is 'evil\.py:f'"):
        check_toy({**PRESETS["nano"], "world": "evil.py:f"}, lambda channels: channels)
    assert not (here / "ran").exists()
