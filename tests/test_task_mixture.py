"""pytest tests/test_task_mixture.py: the sampler of all tasks, mixtures of samplers, and the shares of the tasks."""

import itertools
import math
import re
from fractions import Fraction

import pytest
import torch
import yaml

from pusa_lab import viz
from pusa_lab.cli import main
from pusa_lab.schedules import task_shares, timestep_samplers
from pusa_lab.training.config import TrainConfig

N = 40_000
TASKS = {"first": 0.3, "ends": 0.1, "keyframes": 0.1, "prefix": 0.2, "subset": 0.15, "none": 0.15}
TOP = Fraction(7, 10)
"""Largest probability of a frame to be in a random subset."""


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def power(n, m):
    """E[p^n (1 - p)^m] for p ~ U[0, TOP], exactly."""
    return sum(math.comb(m, i) * (-1) ** i * TOP ** (n + i) / (n + i + 1) for i in range(m + 1))


def sets_of(kind, frames):
    """(known frames, probability) of one kind, in no other words than RECIPE's."""
    last = frames - 1
    if kind == "first":
        yield {0}, 1
    elif kind == "ends":
        yield {0, last}, 1
    elif kind == "keyframes":
        for i in range(1, max(last, 2)):
            yield {0, i, last}, Fraction(1, max(last - 1, 1))
    elif kind == "prefix":
        for k in range(2, max(frames - 2, 2) + 1):
            yield set(range(k)), Fraction(1, max(frames - 3, 1))
    elif kind == "subset":
        for n in range(frames + 1):
            for known in itertools.combinations(range(frames), n):
                yield set(known), power(n, frames - n)
    else:
        yield set(), 1


def expected(frames, chances):
    """Known frames -> probability; all frames known is none known."""
    found = {}
    for kind, chance in chances.items():
        for known, p in sets_of(kind, frames):
            key = tuple(i in known for i in range(frames))
            key = (False,) * frames if all(key) else key
            found[key] = found.get(key, 0.0) + chance * float(p)
    assert sum(found.values()) == pytest.approx(1)
    return {key: p for key, p in found.items() if p}


def task_of(key):
    """The task of a set of known frames, read off it."""
    at, frames = [i for i, known in enumerate(key) if known], len(key)
    ends = {0, frames - 1} <= set(at)
    for name, fits in [
        ("none", not at),
        ("first", at == [0]),
        ("ends", ends and len(at) == 2),
        ("keyframes", ends and len(at) == 3),
        ("prefix", at == list(range(len(at)))),
    ]:
        if fits:
            return name
    return "subset"


def fits(counts, chances, n):
    """Chi-square of counts under their probabilities, within 4 standard deviations of its mean."""
    freedom = len(chances) - 1
    chi2 = sum((counts.get(key, 0) - n * p) ** 2 / (n * p) for key, p in chances.items())
    return chi2 <= freedom + 4 * (2 * freedom) ** 0.5 + 1e-9 and set(counts) <= set(chances)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize(
    "chances", [TASKS, *(dict(zip(TASKS, p, strict=True)) for p in ([0, 0.2, 0.4, 0.1, 0.3, 0], [0, 0, 0, 0, 1, 0]))]
)
def test_every_set_of_known_frames_has_its_probability_and_the_others_share_one_timestep(frames, chances):
    tau = timestep_samplers.task_mixture(**chances)(N, frames, gen())
    assert tau.shape == (N, frames) and tau.dtype == torch.float32
    known = tau == 0
    assert not known.all(dim=1).any(), "there is always a frame to generate"
    u = tau.amax(dim=1, keepdim=True)
    assert torch.equal(tau, torch.where(known, 0, u)), "one timestep for all free frames"
    off = (u[:, 0].sort().values - (torch.arange(N) + 0.5) / N).abs().max() * N**0.5
    assert off < 1.95, "uniform, by Kolmogorov and Smirnov"
    sets, counts = known.unique(dim=0, return_counts=True)
    found = dict(zip(map(tuple, sets.tolist()), counts.tolist(), strict=True))
    exact = expected(frames, chances)
    assert fits(found, exact, N)
    for i in range(frames):
        p = sum(chance for key, chance in exact.items() if key[i])
        assert abs(known[:, i].double().mean() - p) < 4 * (p * (1 - p) / N) ** 0.5 + 1e-9


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 7])
def test_the_shares_of_the_tasks_are_those_of_their_sets(frames):
    shares = task_shares(timestep_samplers.task_mixture(), frames, samples=N)
    want = dict.fromkeys([*TASKS, "asynchronous"], 0.0)
    for key, p in expected(frames, TASKS).items():
        want[task_of(key)] += p
    assert shares.keys() == want.keys() and sum(shares.values()) == pytest.approx(1)
    some = {name: p for name, p in want.items() if p}
    assert fits({name: round(N * share) for name, share in shares.items() if share}, some, N)


def test_a_video_of_one_frame_is_text_to_video_and_one_of_two_has_at_most_one_known_frame():
    sampler = timestep_samplers.task_mixture(none=0, subset=0.3)
    assert (sampler(500, 1, gen()) > 0).all()
    assert set((sampler(500, 2, gen()) == 0).sum(dim=1).tolist()) == {0, 1}


def test_a_seed_gives_the_same_timesteps_and_known_frames_have_their_level():
    sampler = timestep_samplers.task_mixture(known_level=0.03)
    tau = sampler(N, 9, gen(3))
    assert torch.equal(tau, sampler(N, 9, gen(3))) and not torch.equal(tau, sampler(N, 9, gen(4)))
    clean = timestep_samplers.task_mixture()(N, 9, gen(3))
    assert torch.equal(tau, torch.where(clean == 0, 0.03, clean)), "the level changes nothing else"
    assert sampler(0, 9, gen()).shape == (0, 9)


@pytest.mark.parametrize(
    ("sampler", "task"),
    [
        (timestep_samplers.shared, "none"),
        (timestep_samplers.independent, "asynchronous"),
        (timestep_samplers.nondecreasing(), "asynchronous"),
        (timestep_samplers.clean_prefix(1, rest=timestep_samplers.shared), "first"),
        (timestep_samplers.clean_prefix(4, rest=timestep_samplers.shared), "prefix"),
        (timestep_samplers.clean_prefix(2), "asynchronous"),
        (lambda batch, frames, generator: (torch.arange(frames) % 2 * 0.5).repeat(batch, 1), "subset"),
    ],
)
def test_other_samplers_have_shares_too(sampler, task):
    assert task_shares(sampler, 9, samples=200)[task] > 0.98


def test_shares_know_a_level_above_0_and_survive_a_shift():
    sampler = timestep_samplers.shift_timesteps(timestep_samplers.task_mixture(known_level=0.01), 5.0)
    clean = task_shares(timestep_samplers.task_mixture(), samples=2000)
    assert task_shares(sampler, samples=2000)["none"] == clean["none"], "nothing is at 0"
    found = task_shares(sampler, known_level=0.05, samples=2000)
    assert all(abs(found[name] - clean[name]) < 0.02 for name in clean), "0.01 shifted by 5 is 0.048"


@pytest.mark.parametrize("weights", [[0.5, 0.3, 0.2], [0.0, 1.0, 0.0], [0.25, 0.75, 0.0]])
def test_a_mixture_has_its_weights_one_sample_at_a_time(weights):
    levels = (0.1, 0.2, 0.3)
    parts = [lambda batch, frames, generator, x=x: torch.full((batch, frames), x) for x in levels]
    tau = timestep_samplers.mixture(parts, weights)(N, 5, gen())
    assert torch.equal(tau, tau[:, :1].expand(N, 5))
    counts = {i: int((tau[:, 0] == x).sum()) for i, x in enumerate(levels)}
    assert fits({i: n for i, n in counts.items() if n}, {i: p for i, p in enumerate(weights) if p}, N)


def test_a_mixture_of_equal_weights_is_the_default_and_each_part_keeps_its_distribution():
    half = timestep_samplers.mixture([timestep_samplers.independent, timestep_samplers.task_mixture()])
    shares, tasks = (task_shares(one, samples=N) for one in (half, timestep_samplers.task_mixture()))
    want = {name: p / 2 for name, p in tasks.items()} | {"asynchronous": 0.5}
    for name, p in want.items():
        assert abs(shares[name] - p) < 5 * (p / N) ** 0.5, name
    assert task_shares(timestep_samplers.mixture())["asynchronous"] == pytest.approx(0.5, abs=0.02)


def test_names_stand_for_samplers_as_in_a_configuration():
    text = "mixture(samplers=[independent, task_mixture(known_level=0.02)], weights=[0.25, 0.75])"
    named = timestep_samplers.mixture(["independent", "task_mixture(known_level=0.02)"], [0.25, 0.75])
    assert torch.equal(named(50, 5, gen()), timestep_samplers.TIMESTEP_SAMPLERS.find(text)()(50, 5, gen()))
    both = timestep_samplers.mixture(["shared", timestep_samplers.independent])(50, 5, gen())
    assert torch.equal(both, timestep_samplers.mixture()(50, 5, gen()))
    with pytest.raises(ValueError, match=r"schedules\.mixture: unknown timestep sampler 'sharde': choose one of"):
        timestep_samplers.mixture(["sharde"])
    with pytest.raises(ValueError, match="task_mixture has no setting 'beginning'"):
        timestep_samplers.mixture(["task_mixture(beginning=0.3)"])


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 1.0])
def test_the_papers_rule_is_a_mixture(p):
    u = torch.rand(50, 1, generator=(g := gen()))
    alone, together = timestep_samplers.independent(50, 4, g), timestep_samplers.shared(50, 4, g)
    assert torch.equal(timestep_samplers.mixed(p)(50, 4, gen()), torch.where(u < p, alone, together))


def test_a_mixture_is_written_in_python_and_yaml_alike():
    text = "mixture(samplers=[independent, task_mixture(known_level=0.02)], weights=[0.25, 0.75])"
    parts = [timestep_samplers.independent, timestep_samplers.task_mixture(known_level=0.02)]
    want = timestep_samplers.mixture(parts, [0.25, 0.75])(500, 5, gen())
    read = yaml.safe_load(f"timestep_sampler: {text}")
    assert torch.equal(TrainConfig(**read).make_timestep_sampler()(500, 5, gen()), want)
    nested = TrainConfig(timestep_sampler=f"clean_prefix(k=2, rest={text})").make_timestep_sampler()
    assert torch.equal(nested(500, 7, gen())[:, 2:], want)


def test_a_list_of_a_written_call_takes_import_paths(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text("import torch\ndef flat(level=0.5):\n    return lambda b, f, g=None: torch.full((b, f), level)\n")
    config = TrainConfig(timestep_sampler=f"mixture(samplers=[{mine}:flat(level=0.25), {mine}:flat, shared])")
    tau = config.make_timestep_sampler()(3000, 2, gen())[:, 0]
    assert [abs((tau == x).float().mean() - 1 / 3) < 0.04 for x in (0.25, 0.5)] == [True, True]
    assert set(config.plugged_in()) == {f"{mine}:flat"}


TOO_MUCH = (
    r"first=0\.3, ends=0\.1, keyframes=0\.1, prefix=0\.2, subset=0\.15, none=0\.3: give probabilities of at least 0 "
    r"that sum to 1; these sum to 1\.15\.$"
)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: timestep_samplers.task_mixture(none=0.3), rf"^schedules\.task_mixture: {TOO_MUCH}"),
        (lambda: timestep_samplers.task_mixture(first=-0.1, none=0.55), r"first=-0\.1, .*: give probabilities of at l"),
        (lambda: timestep_samplers.task_mixture(known_level=1.5), r"known_level=1\.5: give a noise level in \[0, 1\]"),
        (lambda: timestep_samplers.task_mixture()(2, 0), r"^schedules\.task_mixture: batch=2, frames=0: give"),
        (lambda: timestep_samplers.mixture([]), r"samplers is empty: give at least one timestep sampler"),
        (
            lambda: timestep_samplers.mixture([timestep_samplers.shared, timestep_samplers.task_mixture]),
            r"^schedules\.mixture: task_mixture is a function that makes a timestep sampler: call it, as t",
        ),
        (lambda: timestep_samplers.mixture(weights=[1]), r"1 weights for 2 samplers: give one weight for each"),
        (lambda: timestep_samplers.mixture(weights=[0.5, 0.6]), r"weights=\[0\.5, 0\.6\]: give prob.* sum to 1\.1\.$"),
        (lambda: timestep_samplers.mixture(weights=[math.inf, 0]), r"weights=\[inf, 0\]: .* these sum to inf\.$"),
        (lambda: timestep_samplers.mixture([timestep_samplers.clean_prefix(5)])(2, 5), r"^schedules\.mixture: k=5 fra"),
        (lambda: timestep_samplers.mixture([lambda b, f, g: torch.ones(b)])(2, 5), r"the timestep sampler returned"),
        (lambda: task_shares(timestep_samplers.shared, samples=0), r"samples=0, known_level=0\.0: give at least 1 sam"),
        (lambda: task_shares(timestep_samplers.shared, known_level=2), r"known_level=2: give at least 1 sample and"),
        (lambda: viz.plot_task_shares({}), r"samplers is empty: give at least one timestep sampler by name"),
        (lambda: TrainConfig(timestep_sampler="task_mixture(none=0.3)"), rf"'task_mixture\(none=0\.3\)': {TOO_MUCH}"),
        (
            lambda: timestep_samplers.task_mixture(first=-0.1, none=0.55),
            r"none=0\.55: give probabilities of at least 0 that sum to 1; -0\.1 is below 0\.$",
        ),
        (
            lambda: TrainConfig(timestep_sampler="mixture(samplers=[independent, taskmixture])"),
            r"samplers=taskmixture: did you mean 'task_mixture'\? Otherwise give a value as Python writes it, or a ",
        ),
        (
            lambda: TrainConfig(timestep_sampler="mixture(samplers=[independent, two])"),
            r"the timestep sampler mixture: samplers=two: give a value as Python writes it, or a timestep sampler\.$",
        ),
        (
            lambda: TrainConfig(timestep_sampler="mixture(samplers=[1])"),
            r"samplers\[0\] is 1 .an int.: give a function",
        ),
    ],
)
def test_what_cannot_be_mixed_is_told_in_one_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


@pytest.mark.usefixtures("measured_in_two_steps")
@pytest.mark.parametrize("form", ["option", "file"])
def test_a_toy_is_trained_with_a_mixture(form, tmp_path, capsys):
    text = "mixture(samplers=[independent, task_mixture], weights=[0.4, 0.6])"
    (tmp_path / "run.yaml").write_text(f"timestep_sampler: {text}\n")
    words = ["--timestep-sampler", text] if form == "option" else ["--config", str(tmp_path / "run.yaml")]
    small = ["--model=nano", "--stage=base", "--fast", "--max-steps=1", "--global-batch-size=2", "--clips=4"]
    assert main(["train", *small, f"--out={tmp_path}", *words]) == 0, capsys.readouterr().err
    card = next(tmp_path.glob("*.json")).read_text()
    assert text in card


def test_the_plot_has_a_bar_of_named_shares_for_each_sampler():
    samplers = {"shared": timestep_samplers.shared, "all tasks": timestep_samplers.task_mixture()}
    figure = viz.plot_task_shares(samplers, frames=9)
    figure.canvas.draw()
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == list(samplers)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["none (text-to-video)", "first", "ends", "keyframes", "prefix", "subset", "asynchronous"]
    widths = [[bar.get_width() for bar in bars] for bars in ax.containers]
    assert [one for one, _ in widths] == [1, 0, 0, 0, 0, 0, 0]
    assert [two for _, two in widths] == pytest.approx(list(task_shares(samplers["all tasks"]).values()))
    assert re.findall(r"\d+%", " ".join(text.get_text() for text in ax.texts))[0] == "100%"
