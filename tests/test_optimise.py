"""pytest tests/test_optimise.py: learned schedules and noise, against optima that are known in closed form."""

import functools
import math
import random

import numpy as np
import pytest
import torch
from test_policies import GAUSS, SCALE, GaussianVideo, correlated

import pusa_lab as pl
from pusa_lab import metrics, schedules, viz
from pusa_lab.cli.schedules import read_schedule
from pusa_lab.optimise import STARTS, Evolution, fit_schedule, generation_score, optimise, optimise_noise
from pusa_lab.pixels import to_pixels
from pusa_lab.samplers import sample

pytestmark = pytest.mark.usefixtures("one_thread")


def never(*given):
    raise AssertionError("nothing is to be scored")


def falling(steps, frames, seed=5):
    """A schedule whose levels all fall, by random shares."""
    falls = torch.rand(steps, frames, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.05
    falls /= falls.sum(0)
    return torch.cat([falls.flip(0).cumsum(0).flip(0), torch.zeros(1, frames, dtype=torch.float64)])


def near(goal):
    """A score with its only optimum at a matrix."""
    return lambda matrix: -(matrix - goal).square().sum().item()


@pytest.mark.parametrize(("steps", "frames"), [(4, 3), (5, 1), (2, 5)])
def test_the_optimum_of_a_quadratic_is_found(steps, frames):
    goal = falling(steps, frames)
    found = optimise(near(goal), steps, frames, terms=(steps, frames), generations=150)
    assert (found.matrix - goal).abs().max() < 0.01
    assert found.score == near(goal)(found.matrix) > max(found.starts.values())


def test_levels_for_all_frames_alike_are_found_with_one_term_along_the_frames():
    goal = schedules.synchronous(6, 5, shift=2.5)
    found = optimise(near(goal), 6, 5, start="synchronous", terms=(3, 1), generations=30)
    assert (found.matrix - goal).abs().max() < 0.01
    assert torch.equal(found.matrix, found.matrix[:, :1].expand(-1, 5))


@pytest.mark.parametrize(("steps", "frames"), [(2, 1), (3, 2), (5, 7), (16, 9), (7, 1)])
def test_every_candidate_is_a_schedule_from_noise_to_video(steps, frames):
    seen = []

    def score(matrix):
        seen.append(matrix.clone())
        matrix.zero_()  # what a score does to its matrix is its own affair
        return random.random()

    found = optimise(score, steps, frames, generations=3, population=5, spread=3, shift=3.0)
    assert len(seen) == len(STARTS) + 3 * 5 + 1
    for matrix in [*seen, found.matrix]:
        assert matrix.shape == (steps + 1, frames) and matrix.dtype == torch.float32
        assert schedules.faults(matrix) == [] and (matrix[0] == 1).all()


def test_a_start_that_is_best_is_returned_as_it_is():
    goal = schedules.two_sided(4, 5)
    found = optimise(near(fit_schedule(goal, 4, 5)), 4, 5, generations=2)
    assert found.score == 0 and torch.equal(found.matrix, fit_schedule(goal, 4, 5))
    assert max(found.starts, key=found.starts.get) == "two_sided" and list(found.starts) == list(STARTS)


def test_the_same_seed_finds_the_same_and_leaves_other_random_numbers_alone():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    found = [optimise(near(falling(4, 3)), 4, 3, generations=4, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(found[0].matrix, found[1].matrix) and found[0].history == found[1].history
    assert not torch.equal(found[0].matrix, found[2].matrix)
    assert [one["generation"] for one in found[0].history] == [1, 2, 3, 4]
    best = [one["best"] for one in found[0].history]
    assert best == sorted(best) and best[0] >= max(found[0].starts.values()) and found[0].score >= best[-1]


@pytest.mark.parametrize("answer", [math.nan, math.inf, "good", None, torch.ones(2)])
def test_a_score_that_is_no_number_is_refused_where_it_comes_up(answer):
    answers = iter([1.0, torch.tensor(2.0), np.float32(3), 1, *[0.5] * 3])
    with pytest.raises(ValueError, match=r"^optimise: the score of candidate 3 of generation 1 is .*: return a finite"):
        optimise(lambda matrix: next(answers, answer), 4, 3, start=STARTS[:4], population=6)
    with pytest.raises(ValueError, match=r"the score of the start 0.1 is .*: return a finite number, of which more is"):
        optimise_noise(lambda levels: answer, 1, start=[0.1])


def test_errors_of_a_score_stay_as_they_are():
    def fails(matrix):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match=r"^out of memory$"):
        optimise(fails, 4, 3)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"steps": 1}, "steps=1: give 2 to 1,000; with one step there is nothing to learn"),
        ({"steps": 10**6}, "steps=1000000: give 2 to 1,000"),
        ({"frames": 0}, "frames=0"),
        ({"terms": (0, 3)}, r"terms=\(0, 3\): give the number of cosines"),
        ({"generations": 0}, "0 generations of 10 candidates: give at least 1 of at least 4"),
        ({"population": 3}, "20 generations of 3 candidates"),
        ({"generations": 10**9}, "at most 100,000 candidates in all"),
        ({"spread": 0}, r"spread=0: give the standard deviation of the first candidates, in \(0, 10\]"),
        ({"start": []}, "start is empty: give at least one schedule"),
        ({"start": "nope"}, "unknown schedule 'nope'"),
        ({"start": "hold"}, "the schedule hold starts frame 0 at 0: start every frame at 1"),
        ({"start": ["synchronous", "repaint"]}, "the schedule repaint goes back up"),
        ({"start": {"mine": torch.rand(4, 3)}}, "the schedule is not valid"),
        ({"start": torch.zeros(5, 4)}, "a matrix of 4 columns for 3 frames"),
        ({"start": schedules.synchronous(4, 3).expand(2, -1, -1)}, "a matrix for each sample"),
        ({"score": lambda: 1.0}, "score is a function: give a function"),
        ({"shift": 0}, "shift=0: the shift must be positive"),
    ],
)
def test_bad_input_is_refused_in_one_sentence_before_anything_is_scored(given, says):
    with pytest.raises(ValueError, match=f"^optimise: .*{says}"):
        optimise(**{"score": never, "steps": 4, "frames": 3} | given)


# --- on the exact Gaussian, whose Euler steps are matrices


def covariance_error(gauss, known=()):
    """How far a few Euler steps are from the exact covariance; for matrices (b, rows, f) one number each."""
    goal = gauss.cov.clone()
    if known:
        goal = pl.analytic.condition(gauss.mean, gauss.cov, known, torch.zeros(len(known)))[1]
    frames = len(gauss.mean)
    centred = pl.analytic.GaussianDenoiser(torch.zeros_like(gauss.mean), gauss.cov)

    def score(matrix):
        each = matrix if matrix.ndim == 3 else matrix[None]
        each = each.clone()
        each[..., list(known)] = 0
        x = torch.eye(frames, dtype=torch.float64)
        x[list(known)] = 0  # a known frame is no noise
        basis = x.repeat(len(each), 1).view(-1, 1, frames, 1, 1)
        moved = sample(centred, basis, each.repeat_interleave(frames, 0)).view(len(each), frames, frames)
        errors = -(moved.mT @ moved - goal).square().sum((1, 2))
        return errors if matrix.ndim == 3 else errors.item()

    return score


@pytest.fixture(scope="module")
def by_brute_force():
    """For frames alike and three steps: the best of all levels in steps of 1/30."""

    def best(score, frames):
        levels = torch.linspace(1 / 30, 29 / 30, 29)
        pairs = [(a, b) for a in levels.tolist() for b in levels.tolist() if a > b]
        columns = torch.tensor([[1.0, a, b, 0.0] for a, b in pairs])
        return score(columns[..., None].expand(-1, -1, frames)).max().item()

    return best


@pytest.mark.parametrize("known", [(), (0,), (0, 2)])
def test_few_steps_on_the_gaussian_are_as_good_as_brute_force_and_better_with_a_level_per_frame(by_brute_force, known):
    gauss = correlated(frames=3)
    score = covariance_error(gauss, known)
    alike = optimise(score, 3, 3, start="synchronous", terms=(3, 1), generations=8)
    brute = by_brute_force(score, 3)
    assert alike.score > brute - 0.02 * abs(brute)
    assert alike.score > alike.starts["synchronous"]
    each = optimise(score, 3, 3, start={"alike": alike.matrix} | {name: name for name in STARTS}, generations=20)
    assert each.score >= max(*each.starts.values(), alike.score)
    assert each.score > alike.score or len(known) == 2  # one free frame has nothing to differ from


# --- with a model


def clips(count=3, size=(6, 5), seed=0):
    """Clips of the Gaussian's frames, not clipped to bytes."""
    x = GAUSS.sample((count, 3, len(GAUSS.mean), *size), torch.Generator().manual_seed(seed)).float()
    return ((x / SCALE + 1) / 2).clamp(0, 1).movedim(1, -1).numpy()


@pytest.fixture
def model():
    found = GaussianVideo(GAUSS, size=(6, 5))
    found.asked = []
    return found


def test_the_score_is_the_error_of_free_latents_for_the_same_noise(model):
    truth = clips()
    score = generation_score(model, truth, "a", task="start_end", seed=3, guidance=1.0)
    assert not model.asked, "nothing is sampled before the first score"
    goal = model.encode_video(to_pixels((truth * 255).round().astype(np.uint8)))
    ends = [to_pixels(truth[:, [i]]) for i in (0, -1)]
    task = pl.tasks.transition(*((end.movedim(1, -1).numpy() + 1) / 2 for end in ends), noise=0.2)
    made = pl.generate(model, ["a"] * 3, task, schedule="pyramid", seed=3, guidance=1.0).latents
    errors = (made - goal)[:, :, 1:-1].square().mean((1, 3, 4))
    assert score("pyramid", noise=0.2) == pytest.approx((-10 * errors.log10()).mean().item(), abs=0.02)
    assert score("pyramid", [0.2, 0.2]) == score("pyramid", 0.2) != score("pyramid")


def test_metrics_by_name_and_functions_score_the_whole_batch(model):
    truth, given = clips(), {}

    def mine(result, truth):
        given.update(made=result.video, truth=truth)
        return 7

    kept = {"guidance": 1.0, "task": "image_to_video"}
    assert generation_score(model, truth, list("abc"), metric=mine, **kept)("synchronous") == 7
    assert given["made"].shape == given["truth"].shape == (3, 5, 6, 5, 3)
    wanted = metrics.psnr(to_pixels(given["made"]), to_pixels(given["truth"]))[:, 1:].mean().item()
    assert generation_score(model, truth, list("abc"), metric="psnr", **kept)("synchronous") == pytest.approx(wanted)


def test_a_metric_is_a_function_of_the_result_alone_too_and_needs_no_name(model):
    kept = {"guidance": 1.0, "task": "image_to_video"}
    score = generation_score(model, clips(), list("abc"), metric=lambda result: len(result.video), **kept)
    assert score("synchronous") == 3
    several = generation_score(model, clips(), list("abc"), metric=lambda result: {"a": 1, "b": 2}, **kept)
    with pytest.raises(ValueError, match="the metric returned a dict: return one number"):
        several("synchronous")


def test_starts_of_the_same_name_are_all_scored():
    lags = [functools.partial(schedules.pyramid, lag=lag) for lag in (1, 2, 3)]
    found = optimise(lambda matrix: matrix.sum(), 4, 3, start=lags, generations=1)
    assert list(found.starts) == ["the schedule pyramid", "the schedule pyramid, 2", "the schedule pyramid, 3"]
    assert list(found.starts.values()) == [fit_schedule(lag, 4, 3).sum().item() for lag in lags]
    near_each_other = optimise_noise(lambda levels: levels[0], 1, start=(0.1, 0.10000001), generations=1)
    assert list(near_each_other.starts.values()) == [0.1, 0.10000001]


def test_one_matrix_may_be_a_list_of_rows():
    rows = [[1, 1, 1], [0.5, 0.25, 0.75], [0, 0, 0]]
    found = optimise(lambda matrix: 0, 2, 3, start=rows, generations=1)
    assert torch.equal(found.matrix, torch.tensor(rows)) and torch.equal(
        schedules.fit_schedule(rows, 2, 3), found.matrix
    )


def test_a_found_schedule_is_used_as_it_is(model, tmp_path):
    score = generation_score(model, clips(), "a", guidance=1.0)
    found = schedules.optimise(score, 3, 5, generations=2, start=["synchronous", "pyramid"])
    assert found.score == score(found.matrix) >= score(fit_schedule("pyramid", 3, 5))
    assert torch.equal(pl.generate(model, "a", schedule=found.matrix, guidance=1.0).schedule, found.matrix)
    assert viz.plot_schedule(found.matrix).get_ylabel()
    for kind in ("npy", "csv", "json"):
        path = found.save(tmp_path / "deep" / f"mine.{kind}")
        assert torch.equal(read_schedule(path), found.matrix)
    with pytest.raises(ValueError, match=r"'mine.txt': a schedule is written as one of .npy, .csv, .json"):
        found.save("mine.txt")


def test_noise_that_only_harms_is_left_at_zero_and_noise_that_helps_is_found(model):
    score = generation_score(model, clips(), "a", guidance=1.0)
    found = optimise_noise(lambda levels: score("synchronous", noise=levels), 1, generations=3)
    assert found.levels == [0.0] and found.score == found.starts["0"]
    wanted = torch.tensor([0.3, 0.0, 0.9], dtype=torch.float64)
    seen = []

    def quadratic(levels):
        seen.append(levels)
        return -(torch.tensor(levels) - wanted).square().sum()

    found = optimise_noise(quadratic, 3, start=[0.1, [0.2, 0.5, 0.5]], generations=40, spread=0.3)
    assert found.levels == pytest.approx(wanted.tolist(), abs=0.02)
    assert all(0 <= level <= 1 for levels in seen for level in levels)
    assert list(found.starts) == ["0.1, 0.1, 0.1", "0.2, 0.5, 0.5"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"known": 0}, "known=0: give the number of known frames"),
        ({"start": []}, "start is empty: give at least one noise level"),
        ({"score": torch.nn.Linear(1, 1)}, "score is a Linear: give a function, as noise levels are a list"),
        ({"start": [2.0]}, "noise level 2.0 is outside"),
        ({"start": [[0.1, 0.2, 0.3]]}, "3 noise levels for 2 known latent frames"),
        ({"generations": 0}, "0 generations"),
    ],
)
def test_bad_levels_are_refused_before_anything_is_scored(given, says):
    with pytest.raises(ValueError, match=rf"^optimise.optimise_noise: .*{says}"):
        optimise_noise(**{"score": never, "known": 2} | given)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"schedule": "pyramid"}, "schedule is settled by the score"),
        ({"task": "loop"}, "task='loop': choose from text_to_video"),
        ({"task": "transition"}, "the task transition leaves no frame of 5 latent frames"),
        ({"prompts": ["a", "b"]}, "2 prompts for 3 clips: give one each"),
        ({"metric": "nope"}, "'nope'"),
        ({"noise": [0.1, 0.2]}, "2 noise levels for 1 known latent frame"),
        ({"solver": "nope"}, "nope"),
        ({"skale": 3}, "there is no argument 'skale'"),
    ],
)
def test_what_does_not_fit_the_model_is_refused_before_sampling(model, given, says):
    with pytest.raises(ValueError, match=rf"^optimise.generation_score: .*{says}"):
        generation_score(**{"model": model, "clips": clips(), "prompts": "a", "guidance": 1.0} | given)
    assert not model.asked


# --- the parts


def test_schedules_are_fitted_to_as_many_rows_as_are_asked_for():
    assert torch.equal(fit_schedule("synchronous", 4, 3, 5.0), schedules.synchronous(4, 3, shift=5.0))
    whole = schedules.pyramid(4, 9)  # 13 rows
    assert torch.equal(fit_schedule(whole, 4, 9), whole[::3])
    halves = fit_schedule(torch.tensor([[1.0, 1.0], [0.5, 1.0], [0.0, 0.0]]), 4, 2)
    assert torch.equal(halves, torch.tensor([[1, 1], [0.75, 1], [0.5, 1], [0.25, 0.5], [0, 0]]))
    for name in STARTS:
        for steps, frames in ((1, 1), (4, 9), (7, 5)):
            matrix = fit_schedule(name, steps, frames)
            assert matrix.shape == (steps + 1, frames) and schedules.faults(matrix) == []


def test_an_evolution_takes_one_finite_score_for_each_candidate():
    evolution = Evolution(2, 5, 6, 0.5, seed=-(2**63))
    assert evolution.ask().shape == (6, 2)
    for scores, says in (
        ([1.0] * 5, "5 scores for 6 candidates"),
        ([math.inf] * 6, "one each, finite"),
        ([math.nan], "nan"),
    ):
        with pytest.raises(ValueError, match=rf"^optimise.Evolution.tell: .*{says}"):
            evolution.tell(scores)


@pytest.mark.parametrize(("n", "population"), [(1, 4), (3, 7), (40, 12)])
def test_an_evolution_takes_the_steps_of_the_separable_cma_es(n, population):
    """arXiv 1604.00772, table 1 and equations 24 to 47, with a diagonal covariance and its rates times (n + 2) / 3."""
    evolution, generator = Evolution(n, 30, population, 0.7, 3), torch.Generator().manual_seed(3)
    w = math.log((population + 1) / 2) - np.log(np.arange(1, population // 2 + 1))
    w /= w.sum()
    mu = 1 / (w**2).sum()
    c_c, c_s = (4 + mu / n) / (n + 4 + 2 * mu / n), (mu + 2) / (n + mu + 5)
    c_1 = min(1, (n + 2) / 3 * 2 / ((n + 1.3) ** 2 + mu))
    c_mu = min(1 - c_1, (n + 2) / 3 * 2 * (mu - 2 + 1 / mu) / ((n + 2) ** 2 + mu))
    damping = 1 + 2 * max(0, math.sqrt((mu - 1) / (n + 1)) - 1) + c_s
    expected = math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n))
    m, p_s, p_c, c, sigma = np.zeros(n), np.zeros(n), np.zeros(n), np.ones(n), 0.7
    for t in range(1, 31):
        x = m + sigma * np.sqrt(c) * torch.randn(population, n, generator=generator, dtype=torch.float64).numpy()
        np.testing.assert_allclose(evolution.ask().numpy(), x, rtol=1e-6, atol=1e-9)
        scores = -((x - 1) ** 2 * np.arange(1, n + 1)).sum(1)
        evolution.tell(scores.tolist())
        y = (x[np.argsort(-scores, kind="stable")[: len(w)]] - m) / sigma
        m, p_s = m + sigma * (w @ y), (1 - c_s) * p_s + math.sqrt(c_s * (2 - c_s) * mu) * (w @ y) / np.sqrt(c)
        length = np.linalg.norm(p_s) / expected
        steady = length / math.sqrt(1 - (1 - c_s) ** (2 * t)) < 1.4 + 2 / (n + 1)
        p_c = (1 - c_c) * p_c + steady * math.sqrt(c_c * (2 - c_c) * mu) * (w @ y)
        c = (1 - c_1 - c_mu) * c + c_1 * p_c**2 + c_mu * (w @ y**2)
        sigma *= math.exp(c_s / damping * (length - 1))


@pytest.mark.parametrize("scales", [(1.0, 1.0), (1.0, 100.0)])
def test_an_evolution_finds_the_middle_of_a_bowl_that_is_steeper_in_one_direction(scales):
    evolution, scales = Evolution(2, 60, None, 0.5, 0), torch.tensor(scales, dtype=torch.float64)
    middle = torch.tensor([1.5, -0.5], dtype=torch.float64)
    for _ in range(evolution.generations):
        evolution.tell((-(scales * (evolution.ask() - middle).square()).sum(1)).tolist())
    assert (evolution.mean - middle).abs().max() < 1e-3


def test_a_learned_schedule_shows_itself():
    found = optimise(lambda S: -S.sum().item(), 3, 4, start="pyramid", generations=2, progress=False)
    shown = found._repr_html_()
    assert 'alt="schedule of 4 rows and 4 frames" src="data:image/png;base64,' in shown
    assert f"learned: score {found.score:.4g}" in shown and "<td>pyramid</td>" in shown
