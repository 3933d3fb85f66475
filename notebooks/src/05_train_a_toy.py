# %% [markdown]
# # 5 · Train a toy: from one timestep to one per frame
#
# *You need: chapters 1 and 4. Time: 20 minutes of reading, about a minute of CPU.*
#
# `nano-base` has learned to make videos with **one** timestep for all frames. Its architecture already accepts one
# timestep per frame; only its weights have never met unequal ones. Training them on unequal timesteps is called
# vectorized timestep adaptation (VTA, arXiv 2507.16116). Here you do it yourself, live.
#
# **After this chapter you can**
#
# - measure whether a model uses a clean frame or ignores it;
# - adapt a base to one timestep per frame with `pusa_lab.training`, and read its loss by noise level and by frame;
# - say what the choice of timestep sampler decides, and what a minute of training can and cannot achieve.

# %% tags=["setup"]
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

if any(importlib.util.find_spec(name) is None for name in ("pusa_lab", "mediapy", "jaxtyping", "lightning")):
    # Colab or a bare kernel: install from the clone that this notebook is in, or that lies beside it
    here = Path.cwd().resolve()
    clones = [p for p in (here, *here.parents, *here.iterdir()) if (p / "pusa_lab" / "__init__.py").is_file()]
    if not clones:
        raise RuntimeError(
            f"pusa_lab is not installed and no clone of it is in or beside {here}: clone it there first."
        )
    newer = ["torchao>=0.16"] if importlib.util.find_spec("torchao") else []  # Colab's peft refuses Colab's torchao
    words = [sys.executable, "-m", "pip", "install", "-q", *newer, "-e", f"{clones[0]}[notebooks,train]"]
    subprocess.run(words, check=True)
    sys.path.insert(0, str(clones[0]))
    os.chdir(clones[0] / "notebooks")

# %% tags=["parameters"]
SEED = 0
STEPS = 40
BATCH = 8
HELD = 48
CLIPS = 24
FAST = False

# %%
import json
import logging
import tempfile
from dataclasses import replace

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display

import small_models
from pusa_lab import data, losses, media, pixels, viz
from pusa_lab.notebook import check, play, setup
from pusa_lab.schedules import timestep_samplers
from pusa_lab.training import InMemoryDataset, LatentVideoDataModule, VTAModule, run
from pusa_lab.training.module import NOISE_BINS, by_timestep_and_frame
from small_models import experiments, world
from small_models.evaluation import evaluate, ways
from small_models.experiments import figures
from small_models.experiments.report import show_table
from small_models.training.data import clips_of, latent_dataset, pixel_dataset
from small_models.training.recipes import RECIPES
from small_models.training.train import train as train_stage

device = setup(seed=SEED, shapes=True)
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # otherwise the trainer reports the hardware it found
logging.captureWarnings(True)
STEPS, BATCH, HELD, CLIPS = (20, 4, 32, 4) if FAST else (STEPS, BATCH, HELD, CLIPS)

# %% [markdown]
# ## Where we start
#
# `nano` is small enough to train while you wait: no codec, so its frames are pictures, 8 of 16 x 16. The shipped pair
# was trained on a GPU. The cards say how.

# %% tags=["nbval-check-output"]
base, shipped = (small_models.load(f"nano-{stage}", device=device) for stage in ("base", "vta"))
print(f"{sum(p.numel() for p in base.dit.parameters()):,} parameters")
for stage in ("base", "vta"):
    card = small_models.card(f"nano-{stage}")
    config = card["config"]
    print(
        f"nano-{stage:4}: timesteps {config['timestep_sampler']}, {config['max_steps']:,} steps of {config['global_batch_size']} clips, "
        f"{card['seconds']:.0f} s on {card['device']}, seed {config['seed']}"
    )

# %% [markdown]
# ## Does the base use a clean frame?
#
# Take clips that no training has seen, and fixed noise. Ask for the velocities of frames 1 and later twice: once with
# all frames at the same timestep, once with frame 0 clean at timestep 0 and all others as before. A model that can use
# the clean frame has more information the second time, so its loss must fall. Everything else is the same, so the
# difference is *paired*.
#
# **Predict.** By how much does the loss of the base fall? And that of the shipped `nano-vta`?

# %%
world_name, geometry, recipe = base.preset["world"], base.geometry, RECIPES["nano", "vta"]
config = replace(recipe.config, max_steps=STEPS, global_batch_size=BATCH, lr=5e-4, warmup=5, ema=0.0, compile="")
validation = clips_of(world_name, HELD, evaluate.VALIDATION_SEED, geometry, device)
held = pixel_dataset(validation, HELD, 0, device).chunks()[0]
same_for_all, picture = timestep_samplers.shared, timestep_samplers.clean_prefix(1, rest=timestep_samplers.shared)


def held_out(toy, sampler):
    module = VTAModule(toy, config)
    module.timestep_sampler = sampler
    with torch.no_grad():
        return module.frame_loss(held, -1, 0.0)  # timesteps and loss, (b, f): step -1 always samples the same ones


def gain_of_the_picture(toy):
    (tau, before), (same, after) = (held_out(toy, sampler) for sampler in (same_for_all, picture))
    assert torch.equal(tau[:, 1:], same[:, 1:]), "only the timestep of frame 0 differs"
    return (before - after)[:, 1:].mean(dim=1)


def summary(values):
    return f"{values.mean():+.4f} ± {values.std() / len(values) ** 0.5:.4f}"


gains = {name: gain_of_the_picture(toy) for name, toy in (("nano-base", base), ("nano-vta", shipped))}
for name, gain in gains.items():
    print(f"{name:9}: the clean frame 0 lowers the loss of the others by {summary(gain)}")

assert gains["nano-vta"].mean() > 0, "the adapted model uses the picture"
assert (gains["nano-vta"] - gains["nano-base"]).mean() > 0, "the base gains less from it"

# %% [markdown]
# The base does not merely ignore the clean frame: where the number is negative, the unequal timesteps *confuse* it.
#
# ## A training step
#
# The model stays the same, and so does the loss, except that each frame has its own timestep (Eq. 11, arXiv
# 2507.16116):
#
# $$\tau_i \sim U[0, 1], \qquad x_i = (1 - \tau_i)\, x^0_i + \tau_i\, \varepsilon_i, \qquad
# \ell_i = \lVert v(x, \tau)_i - (\varepsilon_i - x^0_i) \rVert^2$$
#
# So the **timestep sampler** decides what is learned. We train three times from the same base, on the same clips:
#
# - `independent`: one timestep per frame, which is VTA;
# - `shared`: one timestep for all frames, the control: just as much more training, but of the old kind;
# - `picture`: frame 0 always clean, one timestep for the rest: a specialist for image-to-video.
#
# The recipe is that of the shipped model (timesteps shifted towards noise, with shift 5), with fewer steps of smaller
# batches and half the learning rate.
#
# **Predict.** Compare the three samplers. In the second picture of each, can one tell the sampler from the timesteps of
# frames 0 and 7?

# %%
samplers = {"independent": timestep_samplers.independent, "shared": timestep_samplers.shared, "picture": picture}
for name, sampler in samplers.items():
    viz.plot_timestep_sampler(
        timestep_samplers.shift_timesteps(sampler, config.shift),
        geometry.frames,
        title=f"{name}, shift {config.shift:g}",
    )
    plt.show()

share = STEPS * BATCH / (recipe.config.max_steps * recipe.config.global_batch_size)
print(f"{STEPS} steps of {BATCH} clips: 1/{1 / share:,.0f} of what nano-vta has seen")

# %% [markdown]
# `run` is the loop, `VTAModule` the step, and an in-memory dataset holds clips that the world renders from a seed. At
# some steps we look at the held-out loss at independent timesteps, always the same timesteps and the same noise. (With
# `logs=folder` it would write curves, by noise level and by frame, for longer runs. `pusa_lab.training.fit` does the
# same in one call.)

# %%
dataset = pixel_dataset(clips_of(world_name, 256, SEED, geometry, device), BATCH, SEED, device)
at_unequal = timestep_samplers.shift_timesteps(timestep_samplers.independent, config.shift)
marks, at_first = [STEPS // 2, STEPS], held_out(base, at_unequal)[1]


def train(sampler):
    toy = small_models.load("nano-base", device=device).requires_grad_(True).train()
    toy.text.requires_grad_(False)
    module, curve = VTAModule(toy, config), [at_first]
    module.timestep_sampler = timestep_samplers.shift_timesteps(sampler, config.shift)
    data = LatentVideoDataModule(InMemoryDataset(dataset.videos, dataset.captions, BATCH, config.seed))
    run(module, data, marks=marks, keep=lambda step, now: curve.append(held_out(now, at_unequal)[1]))
    return toy.requires_grad_(False).eval().to(device), torch.stack([loss.mean(dim=1) for loss in curve])


trained, curves = {}, {}
for name, sampler in samplers.items():
    trained[name], curves[name] = train(sampler)

# %% [markdown]
# **Predict.** The loss below is measured at *independent* timesteps. Which of the three curves fall, which rise?

# %%
contestants = {"nano-base": base, **{f"live, {name}": toy for name, toy in trained.items()}, "nano-vta": shipped}
unequal = {name: held_out(toy, at_unequal) for name, toy in contestants.items()}
colours = dict(zip(contestants, ("black", "tab:blue", "tab:gray", "tab:orange", "tab:green"), strict=True))
fig, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
for name, curve in curves.items():
    axes[0].plot([0, *marks], curve.mean(dim=1), marker="o", color=colours[f"live, {name}"])
for name, (tau, loss) in unequal.items():
    means = list(by_timestep_and_frame(tau, loss).values())
    middle = [(i + 0.5) / NOISE_BINS for i in range(NOISE_BINS)]
    axes[1].plot(middle, means[:NOISE_BINS], marker="o", color=colours[name])
    axes[2].plot(means[NOISE_BINS:], marker="o", label=name, color=colours[name])
axes[0].set(xlabel="step", ylabel="held-out loss at independent tau", title="during training", ylim=0)
axes[1].set(xlabel="tau of the frame itself", title="after: by noise level", ylim=0)
axes[2].set(xlabel="frame", title="after: by frame", ylim=0)
axes[2].legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
plt.show()

fell = {name: curve[0] - curve[-1] for name, curve in curves.items()}  # clip by clip
for name, values in fell.items():
    print(f"{name:11}: the loss at independent timesteps fell by {summary(values)}")

assert fell["independent"].mean() > 2 * fell["independent"].std() / HELD**0.5, "unequal timesteps are learnt from them"
for other in ("shared", "picture"):
    assert (fell["independent"] - fell[other]).mean() > 0, "as much training on other timesteps teaches them less"

# %% [markdown]
# What counts is the timestep sampler, not the training as such. And whatever a sampler never shows is left to chance:
# the specialist, trained just as long, does poorly at timesteps that its task does not need.
#
# ## And the videos?
#
# The same unseen scenes for all, frame 0 given, the world's truth to compare with. A copy of frame 0 serves as a
# baseline that knows nothing about motion.
#
# **Predict.** The loss at unequal timesteps fell fastest with the `independent` sampler. After this short training, is
# that model also better at image-to-video? What about the specialist, whose loss at unequal timesteps is so much worse?

# %%
options = {"steps": 6, "guidance": 1.0}
makers = {name: ways.maker(toy, **options) for name, toy in contestants.items()}
makers["copy of frame 0"] = ways.copy_of_frame_0
raw = {name: evaluate.collect(make, base, CLIPS)["psnr_frame"][:, 1:] for name, make in makers.items()}
more = {name: (psnr - raw["nano-base"]).mean(dim=1) for name, psnr in raw.items()}  # paired: the same scenes and noise
for name, psnr in raw.items():
    gain = more[name].mean(), more[name].std() / CLIPS**0.5
    print(f"{name:17} {psnr.mean():5.2f} dB, against the base {gain[0]:+.2f} ± {gain[1]:.2f}")

fig, ax = plt.subplots(figsize=(7.5, 3), layout="constrained")
for name, psnr in raw.items():
    style = {"color": colours[name], "marker": "o"} if name in colours else {"color": "black", "ls": ":"}
    ax.plot(range(1, geometry.frames), psnr.mean(dim=0), label=name, **style)
ax.set(xlabel="frame", ylabel="PSNR against the truth (dB)", title="image to video, frame 0 given")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

assert more["nano-vta"].mean() > 2 * more["nano-vta"].std() / CLIPS**0.5, "the shipped model is better than its base"
assert more["live, independent"].mean() < more["nano-vta"].mean() / 2, "a falling loss does not yet mean a better video"
for name in trained:
    assert raw[f"live, {name}"].mean() < raw["nano-vta"].mean(), "a short training is no substitute for a long one"

# %%
scene = world.draw_scenes(1, evaluate.EVAL_SEED + SEED + 3, world.WORLDS[world_name])
truth = pixels.to_uint8(world.render(scene, geometry.frames, geometry.size[0]))
made = {name: makers[name](world.captions(scene), truth, SEED) for name in contestants}
shown = {name: clips[0] for name, clips in {"truth": truth, **made}.items()}
viz.filmstrip(shown, known=[0])
plt.title(f"{world.captions(scene)[0]} ({options['steps']} steps, guidance {options['guidance']:g}, seed {SEED})")
plt.show()
play({f"{name}, {options['steps']} steps": shown[name] for name in shown}, fps=geometry.fps, width=96)

# %% [markdown]
# Loss and video quality do not go hand in hand. `independent` must learn every combination of timesteps, of which
# "frame 0 clean, the others equally noisy" is a rare corner; in this time its loss falls a lot, and its image-to-video
# is no better yet. The specialist sees nothing but that corner and gets there first. The lines above say how far each
# has come, the next ones whether the clean frame is used by now. What longer training buys is visible in `nano-vta`:
# one model that does every task, see chapter 6.

# %%
gains |= {f"live, {name}": gain_of_the_picture(toy) for name, toy in trained.items()}
for name, gain in gains.items():
    print(f"{name:17} the clean frame 0 lowers the loss of the others by {summary(gain)}")

assert gains["live, picture"].mean() > gains["nano-base"].mean(), "the specialist learns to use the picture"
assert gains["live, picture"].mean() > gains["live, independent"].mean(), "and sooner than the generalist"
assert (unequal["live, picture"][1] - unequal["live, independent"][1]).mean() > 0, "and pays at all other timesteps"

# %% [markdown]
# ## The shipped `mini`
#
# The same on a model with a codec, as a low-rank update (LoRA) of all linear layers. These lines are its recipe.

# %% tags=["nbval-check-output"]
card = small_models.card("mini-vta")
config_mini = card["config"]
print(card["command"])
print(
    f"{config_mini['max_steps']:,} steps of {config_mini['global_batch_size']} clips, LoRA of rank {config_mini['lora_rank']}, shift "
    f"{config_mini['shift']:g}, seed {config_mini['seed']}: {card['seconds']:.0f} s on {card['device']}"
)
assert config_mini["timestep_sampler"] == "independent", "one timestep per frame"

# %% [markdown]
# Its loss, with frame 0 clean and all others at one noise level, on clips it has never seen: by noise level, and by
# frame.
#
# **Predict.** At which noise levels is the adapted model furthest ahead of its base? And in which frame?

# %%
levels = torch.linspace(0.1, 0.9, 5)
pair = {name: small_models.load(name, device=device) for name in ("mini-base", "mini-vta")}
mini = pair["mini-base"]
some = 2 if FAST else 8
seen = clips_of(mini.preset["world"], some, evaluate.VALIDATION_SEED, mini.geometry, device)
batch = latent_dataset(seen, mini, some, 0).chunks()[0]
x0, words = batch.x0, batch.captions
eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(SEED)).to(device)


@torch.no_grad()
def by_level(toy):
    taus = levels.to(device)[:, None, None].repeat(1, some, x0.shape[2])
    taus[:, :, 0] = 0
    text = toy.encode_text(words)
    return torch.stack([losses.fafm_frame_loss(toy, x0, tau, eps, **text) for tau in taus])[:, :, 1:].cpu()


found = {name: by_level(toy) for name, toy in pair.items()}  # (levels, clips, frames 1 and later)
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for name, loss in found.items():
    left.plot(levels, loss.mean(dim=(1, 2)), marker="o", label=name)
    right.plot(range(1, mini.geometry.frames), loss.mean(dim=(0, 1)), marker="o", label=name)
left.set(xlabel="tau of frames 1 and later", ylabel="loss, frame 0 clean", title="by noise level", ylim=0)
right.set(xlabel="latent frame", title="by frame", ylim=0)
right.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

helped = (found["mini-base"] - found["mini-vta"]).mean(dim=1)
assert helped.mean() > 0, "the adapted model is better where it can use frame 0"
assert helped.mean(dim=1)[-1] > 0, "above all where noise hides everything else"

# %% [markdown]
# At low noise, at the left, every frame is visible by itself and the picture is not needed; and a sampler with shift 5 seldom
# goes there.
#
# ## Image-to-video, latent frame by latent frame
#
# From the cards: hundreds of unseen scenes, frame 0 given. `mini-i2v` is Wan's own approach, trained just as long from
# the same base, with the picture as further input. The codec's own error is a bound for all of them.
#
# **Predict.** Does the generalist with one timestep per frame beat the specialist in Wan's way?

# %%
cards = {name: small_models.card(name)["metrics"] for name in ("mini-vta", "mini-i2v")}
lines = {name: metrics[name] for name, metrics in cards.items()}
lines["base, untrained timesteps"] = cards["mini-vta"]["base_with_untrained_timestep_vectors"]
lines["copy of frame 0"] = cards["mini-vta"]["copy_of_frame_0"]
lines["truth through the codec"] = cards["mini-vta"]["truth_through_the_codec"]
fig, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
for name, metrics in lines.items():
    score = metrics["image_to_video"]
    db, error = (score[f"psnr_db_by_latent_frame{kind}"] for kind in ("", "_stderr"))
    ax.errorbar(range(1, len(db) + 1), db, yerr=error, marker="o", ms=3, label=name)
    print(f"{name:24} {score['psnr_db']:5.2f} ± {score['psnr_db_stderr']:.2f} dB")
ax.set(xlabel="latent frame", ylabel="PSNR (dB)", title=f"{cards['mini-vta']['clips']} unseen scenes")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

by_frame = {name: torch.tensor(m["image_to_video"]["psnr_db_by_latent_frame"]) for name, m in lines.items()}
assert (by_frame["mini-vta"] > by_frame["base, untrained timesteps"]).all(), "better than its base in every frame"
assert (by_frame["mini-vta"] > by_frame["copy of frame 0"]).all(), "better than a copy in every frame"
assert (by_frame["mini-vta"].diff() < 0).all(), "the farther from the picture, the harder"
assert (by_frame["mini-i2v"] > by_frame["mini-vta"]).all(), "the specialist is ahead"
assert (by_frame["truth through the codec"] > by_frame["mini-vta"]).all(), "nobody beats the codec"

# %% [markdown]
# In this world the specialist is ahead, but it can do only one task. The generalist did not know in training which
# frames would be given.
#
# ## How much training does it take?
#
# The paper's boldest claim is about cost. The table `cost` adapts the same base in several ways and measures
# image-to-video along the way, at fractions of the base's own training; `timestep_samplers` compares timestep samplers. Both were
# measured by `pusa-lab bench paper`; here they are read and plotted.
#
# **Predict.** Which approach needs fewer clips to become good: one timestep per frame, or a further input?


# %%
def beside_the_paper(found):
    return "\n\n".join(line for line in show_table(found).splitlines() if line.startswith(("Paper:", "Here:")))


cost, compared = (
    experiments.read_results(experiments.RESULTS / f"{name}.json") for name in ("cost", "timestep_samplers")
)
print(f"{cost['title']}: {cost['sizes']['preset']}, {cost['device']}, seed {cost['seed']}")
figures.figure(cost)
plt.show()
display(Markdown(beside_the_paper(cost)))

by_way = {}
for row in cost["rows"]:
    by_way.setdefault(row["key"]["way"], []).append(row["key"]["share"])
    mean, low, high = row["scores"]["psnr"]
    assert low <= mean <= high, "a mean lies in its interval"
assert by_way["VTA, all weights"] == by_way["Wan's way, all weights"], "both ways are compared at equal budgets"
assert by_way["control: one timestep, all weights"], "and a control trains as long with one timestep for all frames"

# %%
print(f"{compared['title']}: {compared['sizes']['preset']}, {compared['device']}, seed {compared['seed']}")
figures.figure(compared)
plt.show()
display(Markdown(beside_the_paper(compared)))

kinds = {row["key"]["timestep_sampler"] for row in compared["rows"]}
assert "independent" in kinds and len(kinds) > 1, "the paper's sampler is compared with others"

# %% [markdown]
# ## Your own clips
#
# A folder of videos with captions takes the place of the world: `pusa-lab train --data FOLDER`. Two things change. The
# truth is no longer known from a formula, so the last videos in the order of their names are held out
# (`num_val_clips`), never trained on, and `pusa_lab.evaluate` compares every task with them. And the codec has never
# seen such pictures. No video can be better than its codec, so measure that first.
#
# **Predict.** `mini`'s codec keeps about 33 dB of its own world. How much of these smooth, drifting colours?


# %%
def drifting(seed, frames=33, side=64):
    g = torch.Generator().manual_seed(seed)
    waves, phases = 2 + 6 * torch.rand(2, 3, generator=g), 6 * torch.rand(3, generator=g)
    f, y, x = torch.meshgrid(torch.arange(frames) / 8, *[torch.linspace(0, 1, side)] * 2, indexing="ij")
    colours = [torch.sin(a * x + f + p) * torch.cos(b * y) for a, b, p in zip(*waves, phases, strict=True)]
    return (128 + 100 * torch.stack(colours, dim=-1)).byte().numpy()


with tempfile.TemporaryDirectory() as place:
    folder = Path(place) / "clips"
    for i in range(6):
        media.write_clip(folder / f"{i}.mp4", drifting(SEED + i), fps=16)
        (folder / f"{i}.txt").write_text("colours drift")
    footage = [data.read_clip(path, num_frames=33) for path in sorted(folder.glob("*.mp4"))[: 1 if FAST else 3]]
    kept = torch.stack([data.codec_psnr(mini, clip).mean() for clip in footage])
    options = {
        "data": str(folder),
        "num_val_clips": 2,
        "global_batch_size": BATCH,
        "warmup": 5,
        "ema": 0.0,
        "seed": SEED,
    }
    own = small_models.card(train_stage("nano", "base", Path(place), max_steps=STEPS, **options))
print(f"mini's codec keeps {kept.mean():.1f} dB of these clips")
print(f"a nano trained on {own['data'].split(', ')[1]} for {STEPS} steps; held out: {', '.join(own['held_out'])}")
for task, scores in own["metrics"]["nano-base"].items():
    print(f"  {task:15} {scores['psnr'][0]:5.2f} dB")

assert own["held_out"] == ["4.mp4", "5.mp4"], "the last ones, whatever the seed"
assert kept.mean() < 30, "less than of its own world"

# %% [markdown]
# Of real footage it keeps still less. `python benchmarks/own_clips.py` downloads three short films (a street with
# bicycles, an animated meadow, a man in a car), cuts them into pieces of 64 x 64, trains the codec further on them
# (`--stage codec --base mini-codec`), then a base and its adaptation on the new latents, and scores pieces that were
# held out. Here its stored results are read: one of about ten minutes of training on one CPU core, and one of about as
# many on a GPU (`--gpu`), which learned from eight times as many pieces, because its pieces overlap.
#
# **Predict.** Which of the two gets far in ten minutes: the codec, or the model on its latents? And on the GPU?

# %% tags=["nbval-check-output"]
runs = {
    name: json.loads(Path(f"../benchmarks/results/{file}.json").read_text())
    for name, file in (("a CPU core", "own_clips"), ("a GPU", "own_clips_gpu"))
}
for found in runs.values():
    codec, minutes = found["stages"]["codec"], sum(stage["seconds"] for stage in found["stages"].values()) / 60
    print(
        f"{found['device']}, {found['date']}: {minutes:.0f} minutes, {found['pieces']} pieces, {found['held out']} held out"
    )
    print(
        f"  the codec keeps {found['mini-codec, psnr_db']:.1f} dB before and {codec['metrics']['psnr_db']:.1f} dB after "
        f"{codec['max_steps']} steps on these pieces"
    )

# %%
tasks_shown = ["text_to_video", "image_to_video", "start_end", "extension"]
fig, axes = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True, layout="constrained")
for ax, (name, found) in zip(axes, runs.items(), strict=True):
    scores = found["stages"]["vta"]["metrics"]
    for shift, model in ((-0.1, "mini-base"), (0.1, "mini-vta")):
        mean, low, high = torch.tensor([scores[model][task]["psnr"] for task in tasks_shown]).T
        places = torch.arange(len(tasks_shown)) + shift
        ax.errorbar(
            places, mean, yerr=torch.stack([mean - low, high - mean]), fmt="o", label=f"{model}, trained on them"
        )
    for label, db, style in (
        ("through the trained codec", found["stages"]["codec"]["metrics"]["psnr_db"], "--"),
        ("mini-codec as shipped", found["mini-codec, psnr_db"], ":"),
        ("frame 0 repeated", found["frame 0 repeated"]["psnr"], "-."),
    ):
        ax.axhline(db, color="black", ls=style, lw=1, label=label)
    ax.set(xticks=range(len(tasks_shown)), xticklabels=[task.replace("_", " ") for task in tasks_shown], title=name)
axes[0].set_ylabel("PSNR (dB) of held-out pieces")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
plt.show()


def reached(found, model):
    return [found["stages"]["vta"]["metrics"][model][task]["psnr"][0] for task in tasks_shown]


for found in runs.values():
    assert found["stages"]["codec"]["metrics"]["psnr_db"] > found["mini-codec, psnr_db"] + 3, (
        "minutes help the codec a lot"
    )
    assert max(reached(found, "mini-vta")) < found["frame 0 repeated"]["psnr"], "a picture that stands still is closer"
assert reached(runs["a GPU"], "mini-vta")[1] > reached(runs["a GPU"], "mini-base")[1] + 2, "on average"

# %% [markdown]
# The codec learns fast, because every pixel teaches it something. The model has hardly begun on the CPU. On the GPU,
# image to video is on average 3 dB better after the adaptation than before, but eight pieces differ too much from each
# other to be sure, and a picture that stands still is closer to the truth: three short films do not teach how a fourth
# one moves. The whole recipe, step by step: `docs/own_clips.md`.
#
# ## Exercises
#
# **1 · Fill in.** A training step up to the loss of each frame: sample an independent timestep for every frame, then
# the noise, both from the generator `g`; mix; call the model; compare with its target.
# `toy(x, tau, **toy.encode_text(words))` is the velocity, where `words` are the prompts; `t` below is `tau` reshaped to
# fit `(b, c, f, h, w)`.


# %% tags=["exercise"]
def my_step(toy, x0, words, g): ...  # tau, eps, t = tau[:, None, :, None, None], x, v -> loss (b, f)


# %% tags=["check"]
def reference(toy, x0, words, g):
    tau = timestep_samplers.independent(x0.shape[0], x0.shape[2], g)
    return losses.fafm_frame_loss(toy, x0, tau, torch.randn(x0.shape, generator=g), **toy.encode_text(words))


on_cpu = small_models.load("nano-vta", device="cpu")
clip, words = held.x0[:3].cpu(), held.captions[:3]
check(*((lambda f=f: f(on_cpu, clip, words, torch.Generator().manual_seed(SEED))) for f in (my_step, reference)))

# %% [markdown]
# **2 · Vary.** The specialist above continues from one picture. Write the timestep sampler for a specialist in
# *extension*: frames 0, 1 and 2 always clean, one shared timestep for all others.

# %% tags=["exercise"]
my_sampler = None  # a timestep sampler, see pusa_lab.schedules.timestep_samplers

# %% tags=["check"]
tau = None if my_sampler is None else my_sampler(64, 8, torch.Generator().manual_seed(SEED))
clean = tau is not None and (tau[:, :3] == 0).all() and (tau[:, 3:] > 0).all()
check(None if tau is None else bool(clean and (tau[:, 3:] == tau[:, 3:4]).all() and tau[:, 3].std() > 0.1), True)

# %% [markdown]
# **3 · Invent.** A timestep sampler of your own, `(batch, frames, generator) -> tau`: random timesteps in [0, 1] such
# that in *no* sample all frames lie within 0.3 of each other. (Independent timesteps sometimes do.) Train with it:
# `train(my_own)`.


# %% tags=["exercise"]
def my_own(batch, frames, generator): ...


# %% tags=["check"]
tau = my_own(4096, 8, torch.Generator().manual_seed(SEED))
if tau is None:
    check(None, True)
else:
    valid = tau.shape == (4096, 8) and tau.min() >= 0 and tau.max() <= 1 and (tau.std(dim=0) > 0.02).all()
    check(bool(valid and ((tau.amax(dim=1) - tau.amin(dim=1)) > 0.3).all()), True)

# %% [markdown]
# ## Recap
#
# | name | meaning |
# |---|---|
# | `timestep_samplers.independent`, `timestep_samplers.shared` | one timestep per frame, or one for all frames |
# | `timestep_samplers.clean_prefix(k)` | the first k frames always at timestep 0 |
# | `VTAModule.frame_loss` | timesteps and loss of every sample and frame, before any mean |
# | `by_timestep_and_frame` | that loss, by noise level and by frame |
# | `data.codec_psnr`, `num_val_clips`, `evaluate` | what a codec keeps, what is held out, and scores of it |
#
# *What could go wrong:* judging by the loss under one timestep sampler only; comparing models on different scenes or
# noise, where a paired difference would have been sharper; taking the ranking after a short run for that after a long
# one.
#
# *Where the code lives:* `pusa_lab/training/module.py` (the step), `pusa_lab/training/loop.py` (the loop),
# `pusa_lab/schedules/timestep_samplers.py`, `small_models/training/train.py` (the shipped recipes), `small_models/experiments/` (the tables).
#
# *References:* Pusa V1.0, arXiv 2507.16116; LoRA, arXiv 2106.09685; Wan, arXiv 2503.20314.
#
# *Next:* 6 · Tasks without training.
