"""pytest tests/test_docs_numbers.py: the numbers on docs/toy.md and docs/wan.md are those of the cards and results."""

import json

import pytest
from pages import ROOT, prose, text

import small_models
from pusa_lab.cli import main
from pusa_lab.resting import auto_refresh, computed_share, moving_frames
from pusa_lab.schedules import SCHEDULES
from small_models.evaluation.goals import OBJECTS, SHARES
from small_models.experiments.drift_report import drift_changes, drift_conditions, drift_finding, drift_table
from small_models.experiments.drift_rows import ANCHOR
from small_models.experiments.forcing_report import (
    few_calls_table,
    forcing_changes,
    forcing_conditions,
    forcing_finding,
    forcing_intervals,
    forcing_table,
)

pytestmark = pytest.mark.artefact
TOY, WAN, COMMANDS = prose("docs/toy.md"), prose("docs/wan.md"), prose("docs/commands.md")


def i2v_row(scores):
    i2v = scores["image_to_video"]
    return f"{i2v['psnr_db']:.1f} ± {i2v['psnr_db_stderr']:.1f} dB | {i2v['position_error_px']:.1f} px |"


def t2v_row(scores):
    spoken = [scores["text_to_video"][f"{n}_objects"] for n in (1, 2)]
    shares = [[f"{100 * s[key]:.0f}" for s in spoken] for key in ("colour_and_shape_right", "direction_right")]
    return f"{' and '.join(shares[0])} % | {' and '.join(shares[1])} % |"


def run(name):
    """The card of a run that is not shipped."""
    return json.loads((ROOT / "small_models" / "results" / f"{name}.json").read_text())


def result(name):
    """What a benchmark measured."""
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def steps(card):
    return f"{card['config']['max_steps']:,} steps"


VTA, BASE, I2V, CODEC = (small_models.card(f"mini-{stage}") for stage in ("vta", "base", "i2v", "codec"))
FULL, CONTROL, INDEPENDENT = (run(f"mini-vta-{name}") for name in ("full", "control", "independent"))
SHIFTS = {shift: run(f"mini-base-shift{shift}") for shift in (3, 1)}
SCORES = VTA["metrics"]
ADAPTED = {
    "adapted (`mini-vta`, LoRA)": SCORES["mini-vta"],
    "adapted, all weights": FULL["metrics"]["mini-vta"],
    "adapted with the paper's independent timesteps, LoRA": INDEPENDENT["metrics"]["mini-vta"],
    "control: further training with one timestep for all frames": CONTROL["metrics"]["mini-vta"],
}


def test_image_to_video_is_as_on_the_cards():
    rows = ADAPTED | {
        "Wan's own way (`mini-i2v`, LoRA)": I2V["metrics"]["mini-i2v"],
        "frame 0 repeated": SCORES["copy_of_frame_0"],
        "the base, given timestep vectors it never saw": SCORES["base_with_untrained_timestep_vectors"],
        "the base, frame 0 replaced at every step": SCORES["base_with_replacement"],
        "the truth through the codec": SCORES["truth_through_the_codec"],
    }
    for row, found in rows.items():
        assert f"| {row} | {i2v_row(found)}" in TOY
    assert (
        len({card["metrics"]["clips"] for card in (VTA, BASE, I2V, FULL, CONTROL, INDEPENDENT, *SHIFTS.values())}) == 1
    )
    assert f"Image to video on {SCORES['clips']} scenes" in TOY
    assert len({steps(card) for card in (VTA, I2V, FULL, CONTROL, INDEPENDENT)}) == 1
    assert (
        f"The base was trained for {steps(BASE)}, every adaptation of it for {steps(VTA).removesuffix(' steps')}:"
        in TOY
    )


def test_text_to_video_is_as_on_the_cards():
    one, three = SHIFTS[1], SHIFTS[3]
    rows = ADAPTED | {
        f"base (`mini-base`): timesteps sampled with shift {BASE['config']['shift']:g}": SCORES["base"],
        f"base with shift 3, {steps(three)} (measured {three['date']})": three["metrics"]["mini-base"],
        f"base with shift 1, {steps(one)}": one["metrics"]["mini-base"],
        "Wan's own way, without its picture": I2V["metrics"]["mini-i2v"],
        "true clips": SCORES["truth"],
    }
    for row, found in rows.items():
        assert f"| {row} | {t2v_row(found)}" in TOY
    goals = [" and ".join([f"{100 * share:.0f}"] * len(OBJECTS)) for share in SHARES.values()]
    assert f"| goal | {goals[0]} % | {goals[1]} % |" in TOY


def test_what_the_tables_show_is_so():
    spoken = [found["text_to_video"] for found in (SCORES["mini-vta"], CONTROL["metrics"]["mini-vta"])]
    for label in SHARES:
        for n in (2, 3):
            vta, control = (s[f"{n}_objects"] for s in spoken)
            assert vta[label] > control[label], "timestep vectors improve on the control with several objects"
        one = [s["1_objects"] for s in spoken]
        assert abs(one[0][label] - one[1][label]) < 2.5 * max(s[f"{label}_stderr"] for s in one), "and not with one"
    three = [f"{100 * s['3_objects']['direction_right']:.0f} %" for s in spoken]
    assert "beyond the control for prompts of two objects and of three" in TOY
    assert f"(with three the direction is right for {three[0]} against {three[1]})" in TOY
    full, lora = (found["metrics"]["mini-vta"]["image_to_video"]["psnr_db"] for found in (FULL, VTA))
    assert f"LoRA of rank {VTA['config']['lora_rank']} is {full - lora:.1f} dB behind all weights" in TOY
    missed = {goal: found["value"] for goal, found in SCORES["goals"].items() if found["missed_by"] > 0}
    assert list(missed) == ["2_objects colour_and_shape_right_whole_caption"]
    assert "`mini-vta` misses one of its ten goals" in TOY
    assert len(SCORES["goals"]) == 10
    whole = SCORES["goals"]["2_objects colour_and_shape_right_whole_caption"]["value"]
    assert f"it has all colours and shapes right in {100 * whole:.1f} %, where the goal is 90" in TOY


def test_codec_and_training_times_are_as_on_the_cards():
    kept = CODEC["metrics"]
    assert f"{kept['psnr_db']:.1f} dB of unseen clips and {kept['psnr_db_single_picture']:.1f} dB of single" in TOY
    took = [f"{card['seconds']:.0f} s" for card in (CODEC, BASE, VTA)]
    said = f"the codec took {took[0]}, the base {took[1]} and the adaptation {took[2]} on an {VTA['device']}"
    assert said in COMMANDS
    assert len({card["device"] for card in (CODEC, BASE, VTA)}) == 1


def test_speed_is_as_measured():
    found = result("toy_cpu")
    seconds = found["image to video"]["seconds"]["ten guided steps and decoding"]["median"]
    assert f"ten guided steps take {seconds:.1f} s" in TOY
    one, two = (found["one forward"]["8 channels"][f"batch {n}"] for n in (1, 2))
    once, twice = two["milliseconds, median"]["eager ours"], 2 * one["milliseconds, median"]["eager ours"]
    assert f"one pass serves both captions, in {once:.0f} ms instead of {twice:.0f}" in TOY
    faster = one["times faster"]
    eager, compiled = (faster[f"{plan} ours than {plan} per token"]["median"] for plan in ("eager", "compiled"))
    assert f"is {eager:.2f} times as fast as diffusers' class with one timestep per token, eager" in TOY
    assert f"and {compiled:.2f} times compiled" in TOY
    assert f"`{found['command']}` on {found['device']}, {found['date']})" in TOY


FORWARDS = {
    "one timestep (scalar)": ("eager", "scalar"),
    "**one timestep per frame**": ("eager", "per frame"),
    "one timestep per token (diffusers)": ("eager", "per token"),
    "**one timestep per frame**, compiled by blocks": ("compiled", "per frame"),
}


def test_wans_tables_are_the_benchmarks():
    found = result("wan_forward")
    seconds, memory = WAN[WAN.index("| seconds |") :].split("| peak memory |")
    for label, (how, time) in FORWARDS.items():
        cells = [found[f"{size} {how}"][time] for size in ("480p", "720p")]
        for table, key, unit in ((seconds, "seconds", ".2f"), (memory, "peak_gib", ".1f")):
            figures = " | ".join(f"{cell[key]:{unit}} {'s' if key == 'seconds' else 'GiB'}" for cell in cells)
            assert f"| {label} | {figures} |" in table
    fastest = result("wan_float8")
    rows = {
        'the same, `attention="fa4"`': [
            found[f"{size} compiled, kinds of attention"]["fa4"] for size in ("480p", "720p")
        ],
        'the same, `precision="float8"` too': [fastest[f"{size} float8 and fa4, paired"] for size in ("480p", "720p")],
    }
    for label, (small, large) in rows.items():
        assert f"| {label} | {small['seconds']:.2f} s | {large['seconds']:.2f} s |" in seconds
        assert f"| {label} | {small['peak_gib']:.1f} GiB | {large['peak_gib']:.1f} GiB |" in memory
    assert f"on one {found['device']}, torch {found['versions']['torch'].split('+')[0]}" in WAN
    assert f"diffusers {found['versions']['diffusers']}, seed {found['seed']}, {found['date']}" in WAN


def test_one_timestep_per_frame_costs_what_one_costs():
    """What README and docs/wan.md say of the table."""
    found, more = result("wan_forward"), []
    for size in ("480p", "720p"):
        scalar, frame, token = (found[f"{size} eager"][time] for time in ("scalar", "per frame", "per token"))
        assert abs(frame["seconds"] / scalar["seconds"] - 1) < 0.01
        assert 0.97 < frame["peak_gib"] / scalar["peak_gib"] < 1.01
        more.append(token["peak_gib"] - frame["peak_gib"])
    assert f"one per token, needs up to {max(more):.0f} GiB more" in WAN


def test_wans_whole_clip_is_the_benchmarks_and_more_than_its_forwards():
    found = result("wan_end_to_end")

    def seconds(name, *parts):
        return f"{sum(found[name][part]['seconds'] for part in parts):.0f} s"

    forwards = "10 steps, 20 forwards"
    whole = ("captions", "first frame through the codec", forwards, "decoding")
    plain = found["plain"]
    assert (
        f"took {seconds('plain', *whole)} and {max(plain[part]['peak_gib'] for part in whole):.1f} GiB, of which the "
        f"20 forwards of ten guided steps took {seconds('plain', forwards)}; the rest was captions, the first frame"
    ) in WAN
    told = [
        f"{seconds(f'with the LoRA {how}', *whole)} {how} (forwards {seconds(f'with the LoRA {how}', forwards)})"
        for how in ("attached", "merged")
    ]
    assert f"With a LoRA of rank {found['lora']['rank']} it took {' and '.join(told)}" in WAN


@pytest.mark.parametrize(("name", "attention"), [("fast", "native"), ("fa4", "fa4")])
def test_wans_compiled_clip_is_the_benchmarks(name, attention):
    found = result(f"wan_end_to_end_{name}")
    assert found["attention"] == attention and found["done"] and f" on {found['date']}" in WAN
    called = {"native": "PyTorch's attention", "fa4": '`attention="fa4"`'}[attention]
    for way, told in (("compiled", ""), ("compiled, float8", ', `precision="float8"`')):
        runs = [found[f"{way}{how}"] for how in ("", ", without guidance")]
        runs = [{name: part for name, part in run.items() if isinstance(part, dict)} for run in runs]
        seconds = [f"{sum(part['seconds'] for part in run.values()):.1f} s" for run in runs]
        peak = max(part["peak_gib"] for run in runs for part in run.values())
        assert f"| {called}{told} | {seconds[0]} | {seconds[1]} | {peak:.1f} GiB |" in WAN
        for run in runs:
            assert 2.75 < run["decoding"]["seconds"] < 2.95 and "Decoding takes 2.8 to 2.9 s of each" in WAN
            assert run["captions"]["seconds"] + run["first frame through the codec"]["seconds"] < 0.2
    assert "captions and the first frame 0.2 s or less" in WAN


def test_the_share_of_frames_that_are_computed_is_told_as_it_is():
    levels = SCHEDULES["autoregressive"](10, 9)
    levels[:, 0] = 0
    share = computed_share(moving_frames(levels), 5)
    assert f"autoregressive schedule of ten steps computes {100 * share:.0f} %" in prose("docs/features.md")


def test_frames_at_rest_save_and_cost_what_was_measured():
    page, found = prose("benchmarks/README.md"), result("resting")
    wan, told = (
        found["wan"],
        {"extension": "11 of 21 latent frames known", "autoregressive": "one frame after the other"},
    )
    for name in ("extension", "autoregressive", "blockwise"):
        (row,) = (wan[key] for key in wan if key.startswith(f"{name},"))
        auto, five = (row[f"refresh {n}"] for n in (row["auto"], 5))
        assert (
            f"| {name}, {told.get(name, 'blocks of 3')} | {row['refresh 1']['seconds']:.1f} | "
            f"{auto['times faster']:.2f} | {five['times faster']:.2f} | {row['refresh 1']['peak_gib']:.1f} and "
        ) in page
    assert f"`{wan['command'].partition(' --out')[0]}`".replace("'", '"') in page
    cases: dict = {}
    for row in found["mini"]["rows"]:
        cases.setdefault((row["task"], len(row["known"]), row["schedule"]), {})[row["refresh"]] = row
    told = {
        ("extension", 4, "synchronous"): "extension, 4 of 9 latent frames known",
        ("transition", 6, "synchronous"): "transition, 6 known",
        ("image_to_video", 1, "autoregressive"): "autoregressive, 1 known",
        ("image_to_video", 1, "blockwise(lag=10)"): "blockwise(lag=10), 1 known",
        ("image_to_video", 1, "staircase"): "staircase, 1 known",
        ("extension", 4, "autoregressive"): "autoregressive, 4 known",
    }
    for case, name in told.items():
        each = [(100 * row["frames computed"], row["loss_db"][0]) for row in (cases[case][4], cases[case][5])]
        words = (f"{share:.0f} % | {f'{loss:.2f}' if loss > 0 else 'none'}" for share, loss in each)
        assert f"| {name} | {' | '.join(words)} |" in page
    for (_, _, schedule), by_refresh in cases.items():
        levels = SCHEDULES.find(schedule)(10, 9)
        levels[:, by_refresh[1]["known"]] = 0
        auto = auto_refresh(moving_frames(levels)) or 1
        assert auto in (1, 4) and by_refresh[auto]["loss_db"][0] < 0.105, "what auto promises"
    assert f"of the {len(cases)} cases in the file, in none does it lose more than 0.10 dB" in page
    lone = cases["image_to_video", 1, "synchronous"][5]["loss_db"][0]
    assert f"whose one known frame rests alone, loses {lone:.2f} dB at every fifth row" in page
    assert "loses 0.10 dB or less with every task" in prose("docs/features.md")


def test_streams_are_as_fast_as_measured():
    page, found = prose("docs/streaming.md"), result("streaming")["mini-vta"]
    assert "H200" in found["device"] and found["date"] in page
    for row in found["rows"]:
        assert (
            f"| `{row['schedule']}` | {row['first frames, seconds']:.2f} | {row['pixel frames a second']:.0f} | "
            f"{row['calls a latent frame']:.1f} |"
        ) in page
        assert row["peak bytes, first window"] == row["peak bytes, all windows"]
    cpu = result("streaming")["mini-vta, cpu"]["rows"][0]
    assert cpu["peak bytes, first window"] == cpu["peak bytes, all windows"]
    assert f"held {cpu['peak bytes, all windows'] / 1e6:.0f} MB at most with `{cpu['schedule']}`" in page
    hundred = result("streaming")["nano-vta, cpu"]["rows"]
    assert {row["windows"] for row in hundred} == {100} and len(hundred) == 5
    first, last = (
        peak / 1e6 for peak in (hundred[0]["peak bytes, first window"], hundred[-1]["peak bytes, all windows"])
    )
    assert f"held {first:.0f} MB after the first window, and {last:.0f} MB after a hundred" in page and last < first + 1


def test_encoding_takes_what_was_measured():
    found = result("encode")
    one, two = (found[f"{n} devices"] for n in (1, 2))
    assert one["clips"] == two["clips"] == 16 and found["apart"] == 0 and "H200" in found["device"] and found["done"]
    seconds, rates = ([f"{one[key]:.{n}f}", f"{two[key]:.{n}f}"] for key, n in (("seconds", 0), ("clips a second", 2)))
    told = (
        f"{found['what'].split(',')[0].replace('81 frames', 'Sixteen clips of 81 frames')} took {seconds[0]} s on one "
        f"H200 and {seconds[1]} s on two, {rates[0]} and {rates[1]} clips a second, and gave equal caches "
        f"(`pusa-lab bench encode`, torch {found['versions']['torch'][:4]}, {found['date']})"
    )
    assert told in prose("docs/training_wan.md")


def test_a_causal_model_saves_and_loses_what_was_measured():
    page, found = prose("docs/streaming.md"), result("causal")
    stream, masked = found["stream"], found["masked untrained"]
    seconds, frames = ([row[key] for row in stream["rows"]] for key in ("seconds a block", "frames computed a block"))
    assert (
        "1 threads" in found["device"]
        and f"one thread of a CPU (`python benchmarks/causal.py`, {found['date']})" in page
    )
    assert (
        f"takes {seconds[0]:.2f} s with the cache and {seconds[1]:.2f} s without, {stream['times faster']:.1f} times "
        f"as long in the median of {stream['blocks']} pairs: {frames[0]:.0f} frames are computed for it instead of "
        f"{frames[1]:.0f}"
    ) in page
    loss, low, high = masked["loss_db"]
    assert (
        f"has a PSNR of {masked['psnr_db']['no mask']:.1f} dB on {masked['scenes']} scenes, and loses {loss:.1f} dB "
        f"({low:.1f} to {high:.1f}) by the mask alone"
    ) in page


def test_long_videos_drift_as_measured():
    """The page holds what `pusa-lab bench long --show` prints."""
    found = result("long")
    assert drift_table(found) in text("docs/streaming.md")
    assert drift_changes(found) in text("docs/streaming.md")
    assert drift_conditions(found) in prose("docs/streaming.md")
    assert drift_finding(found) in prose("docs/streaming.md")
    off = {False: [], True: []}
    for row in found["rows"]:
        change = row["key"]["change"]
        if "source" in row and change in ("none", ANCHOR):
            off[change == ANCHOR].append(row["scores"]["colour_error"]["last"][0])
    (least, most), (kept, at_most) = ((min(values), max(values)) for values in off.values())
    assert (
        f"A video {found['sizes']['lengths']} times as long ends {least:.0f} to {most:.0f} grey levels off in colour, "
        f"whichever of {len(off[False])} ways makes it, and {kept:.0f} to {at_most:.0f} with"
    ) in prose("README.md")


def test_trainings_for_long_videos_are_told_as_measured():
    """The page holds what `pusa-lab bench forcing --show` prints."""
    found = result("forcing")
    for part in (forcing_table, forcing_changes, few_calls_table):
        assert part(found) in text("docs/findings.md")
    for part in (forcing_conditions, forcing_finding, forcing_intervals):
        assert part(found) in prose("docs/findings.md")
    off = [row["long"]["scores"]["colour_error"]["last"] for row in found["rows"]]
    least, most = min(off)[0], max(off)[0]
    kinds = len({row["key"]["training"] for row in found["rows"]})
    place = "docs/findings.md#no-training-tried-stops-the-drift"
    assert f"[{kinds} trainings for it]({place}) leave {least:.0f} to {most:.0f}" in prose("README.md")
    assert f"colour is off by {least:.0f} to {most:.0f} grey levels;" in prose("docs/findings.md")
    kept = [row["scores"]["colour_error"]["last"] for row in result("long")["rows"] if row["key"]["change"] == ANCHOR]
    assert min(low for _, low, _ in off) > max(high for _, _, high in kept), "frame 0 in view keeps it, beyond chance"
    assert f"leaves {min(kept)[0]:.0f} to {max(kept)[0]:.0f}" in prose("docs/findings.md")


def test_the_modes_of_known_frames_are_told_as_measured(capsys):
    """The page holds what `pusa-lab bench known_modes` prints."""
    assert main(["bench", "known_modes"]) == 0
    words, table = capsys.readouterr().out.strip().split("\n\n")
    assert words in prose("docs/findings.md") and table in text("docs/findings.md")


def test_why_mini_is_not_in_the_page_is_told_as_measured():
    found, page = json.loads((ROOT / "benchmarks/results/site.json").read_text()), prose("docs/site.md")
    mini, (alone, threads) = found["mini-vta"], found["seconds, median"].values()
    few, many = mini["seconds, median, one thread"], mini["seconds, median, threads"]
    least = min(each["first frame, least of all visits"] for each in (few, many))
    assert (
        f"after {many['first frame']} s with threads and {few['first frame']} s without, and the quickest one after "
        f"{least} s; `nano` takes {threads['first frame after the first row']} and "
        f"{alone['first frame after the first row']} s."
    ) in page
    assert 3 < least < 4, "nearly within 3 s"
    assert found["site, MiB"] < min(40, mini["MiB, packed as the page packs it"]), "more than the whole site has now"
