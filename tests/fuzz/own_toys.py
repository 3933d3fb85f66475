"""Valid arguments of particular functions of small_models, where neither annotation nor name tells them."""
# ruff: noqa: E501, tables of values

_NAMES = ("cost", "preserved", "timestep_samplers", "lora", "steps", "noise", "tasks", "schedules", "inside", "suite")
_TABLE = [
    text for name in _NAMES for text in (f"found({name!r})", *(f"damaged({name!r}, {seed})" for seed in range(100)))
]
_GENERAL = (
    "{'table': 'generalisation', 'title': 't', 'rows': [{'key': {'way': w, 'split': s}, 'scores': {n: [v, v, v] for n in "
    "('relative_velocity_error', 'pace')}, 'by_prompt': {'relative_velocity_error': [v, 2 * v, v]}} for v, w in ((0.1, 'independent'), "
    "(0.2, 'task mixture'), (0.3, 'specialist'), (0.4, \"Wan's way\")) for s in ('in distribution', 'slower', 'faster', 'unseen combinations')]}"
)
_ROWS = ["found('cost')['rows']", "found('steps')['rows'][:3]"]

_FORGOTTEN = (
    "[{'key': {'timestep_sampler': d, 'rank': 8, 'share': 0.1}, 'scores': {n: [v, v, v] for n in ('alignment_lost', 'latent_distance')}} "
    "for d, v in (('independent', 0.1), ('shared', 0.3))]"
)

_RECIPES = (
    "{'table': 'recipes', 'title': 't', 'sizes': {'preset': 'mini'}, 'rows': [{'key': {'way': w, 'task': t, 'share': s}, 'scores': {n: [0.2, 0.1, 0.3] for n in "
    "('psnr', 'text_alignment')}, 'by_prompt': {'psnr': [s, 2.0, 3.0], 'text_alignment': [0.1, s, 0.3]}} for w, s in (('base', 0.0), "
    "('independent timesteps', 0.05), ('recipe: half', 0.05), (\"Wan's way\", 0.05), ('specialist of the task', 0.05)) "
    "for t in ('image_to_video', 'text_to_video')]}"
)

OWN_TOYS: dict[str, dict[str, list[str]]] = {
    r"small_models\.experiments\.pairs\.over_seeds": {"interval": ["Interval(1.0, 0.5, 2.0)"], "each": ["[1.0]", "[0.5, 1.5]"]},
    r"small_models\.experiments\.(pairs\.by_seed|training_seeds\.join_rows)": {
        "row": ["{'by_prompt': {'psnr': [1.0, 2.0]}}"], "score": ["'psnr'"], "seeds": ["()", "[0]"],
        "rows": ["[{'scores': {'shape': [0.5, 0.4, 0.6]}, 'by_prompt': {'psnr': [1.0, 2.0]}, 'clips': 2}]"],
    },
    r"small_models\.experiments\.pairs\.two_way_interval": {"values": ["rand(3, 4)", "randn(1, 5)"]},
    r"small_models\.family\.load_toy": {"name": ["'nano-vta'", "'nano-base'"], "lora": ["None"], "strength": ["None"], "device": ["'cpu'"]},
    r"small_models\.files\.read_description": {"path": ["checkpoint()"]},
    r"small_models\.models\.codec\.Codec": {"config": ["mini_codec().config"]},
    r"small_models\.models\.codec\.(channels_last_|initialise|calibrate)": {
        "codec": ["fresh_codec()"], "batches": ["[clip(1, 3, 5, 16, 16)]"],
    },
    r"small_models\.models\.codec\.codec_loss": {"clip": ["clip(1, 3, 5, 16, 16)"]},
    r"small_models\.training\.data\.to_arrays": {"clips": ["clip(2, 3, 5, 8, 8).add(1).byte()"]},
    r"small_models\.training\.data\.\w+": {
        "name": ["'nano'"], "count": ["2"], "folder": ["clips()"], "source": ["'nano'", "str(clips())"], "geometry": ["nano().geometry"],
        "clips": ["lambda count, seed, held_out: parts()"], "build": ["pixel_dataset"], "counts": ["(3, 2)"], "batches": ["(2, 1)"], "seeds": ["(0, 1)"],
        "parts": ["parts()"], "batch": ["2"], "model": ["nano()"], "clip": ["clip(1, 3, 5, 8, 8)"], "num_val_clips": ["0", "1"], "files": ["None"],
    },
    r"small_models\.evaluation\.evaluate\.measure_clips": {"models": ["{'nano': nano()}"], "clips": ["film(8)[None]"], "prompts": ["['a red circle moves right']"], "steps": ["1"]},
    r"small_models\.evaluation\.evaluate\.codec_scores": {"codec": ["fresh_codec()"], "parts": ["[clip(2, 3, 5, 16, 16)]"]},
    r"small_models\.models\.dit\.\w+": {
        "head_dim": ["4", "8"], "dim": ["8"], "grid": ["(2, 2, 2)"], "turn": ["rand(3, 1, 1, 2)"], "x": ["randn(1, 3, 2, 2)"],
        "num_layers": ["1"], "patch_size": ["(1, 2, 2)"], "image_dim": ["None"],
    },
    r"small_models\.evaluation\.evaluate\.collect": {
        "make": ["lambda prompts, truth, seed: truth"], "model": ["nano()"],
        "clips": ["2"], "world": ["''", "'nano'"],
    },
    r"small_models\.evaluation\.evaluate\.(image_to_video_scores|gain)": {"raw": ["raw()"], "other": ["raw()"], "stride": ["1"]},
    r"small_models\.evaluation\.evaluate\.text_to_video_scores": {"raw": ["raw()"]},
    r"small_models\.evaluation\.suite\.(fidelity|obedience|appearance)|small_models\.world\.reader\.confirm": {
        "clip": ["the('small_models.world.pictures.render')(scenes(2))"], "scenes": ["scenes(2)"], "known": ["()", "[0]"],
        "truth": ["the('small_models.world.pictures.render')(scenes(2))"], "first": ["None"],
    },
    r"small_models\.(models\.features|evaluation\.measure_features)\.\w+": {
        "clip": ["clip(2, 3, 9, 16, 16)"], "model": ["features()"], "config": ["features().config"], "small": ["small_clips()"],
        "labels": ["the('small_models.models.features.labels_of')(scenes(2, 'mini'))"], "scenes": ["scenes(2, 'mini')"],
        "ways": ["{'true': the('small_models.evaluation.measure_features.true')}"], "geometry": ["mini_geometry()"], "side": ["3", "5"],
        "pixels": ["2"],
    },
    r"small_models\.models\.features\.check_labels": {"logits": ["logits()"], "labels": ["the('small_models.models.features.labels_of')(scenes(2, 'mini'))"]},
    r"small_models\.world\.tables\.world_named": {"name": ["'nano'", "'mini'"]},
    r"small_models\.world\.tables\.add_world": {"name": ["'nano'", "'a folder'"]},
    r"small_models\.evaluation\.measure_features\.shares": {"logits": ["logits()"], "labels": ["the('small_models.models.features.labels_of')(scenes(2, 'mini'))"]},
    r"small_models\.evaluation\.measure_features\.ladder": {"found": ["{'true': rand(3, 4), 'frozen': rand(3, 4)}"], "others": ["rand(3, 4)"]},
    r"small_models\.experiments\.records\.read_results": {"path": ["ROOT / 'small_models' / 'results' / 'paper' / 'steps.json'"]},
    r"small_models\.experiments\.claims\.claims": {"folder": ["ROOT / 'small_models' / 'results' / 'paper'"]},
    r"small_models\.experiments\.learned_results\.\w+": {
        "found": [
            "{'table': 'learned', 'rows': [{'key': {'task': 't', 'schedule': s, 'calls': 4}, 'scores': {'psnr': [20.0, 19.0, 21.0]}} for s in ('synchronous', 'learned')]}",
        ],
    },
    r"small_models\.experiments\.verdicts\.looks": {"found": ["found('inside')"]},
    r"small_models\.experiments\.recipe_settings\.recipe_of": {"name": ["'half'", "'quarter, lr 5e-4'"], "rank": ["0", "8"], "seed": ["0", "3"]},
    r"small_models\.experiments\.recipe_settings\.with_history": {
        "guidance": ["'text_cfg(scale=3)'"], "known": ["[0]", "[0, 1, 2, 3]"], "weight": ["1.5", "2"], "halves": ["True", "False"],
    },
    r"small_models\.experiments\.verdicts\.strength_(gains|above_1)": {"found": ["found('lora')"]},
    r"small_models\.experiments\.rows\.find_row": {"found": ["found('steps')"], "**": ["steps=10"]},
    r"small_models\.experiments\.verdicts\.(farther|largest)": {"kinds": ["kinds()"], "other": ["kinds()"]},
    r"small_models\.experiments\.prediction\.\w+": {
        "rows": [_FORGOTTEN], "x": ["rand(4)"], "y": ["rand(4)"],
        "found": [f"{{'table': 'forgetting', 'title': 't', 'prediction': [], 'rows': {_FORGOTTEN}}}"],
    },
    r"small_models\.experiments\.generalisation_table\.\w+": {
        "known": ["[0]", "[0, 1]"], "found": [_GENERAL], "way": ["'independent'"], "split": ["'slower'"], "than": ["''", "'specialist'"],
    },
    r"small_models\.experiments\.recipe_results\.\w+": {"found": [_RECIPES]},
    r"small_models\.experiments\.(draws\.\w+|training_tables\.length_reaching)": {
        "found": [_RECIPES], "name": ["'half'", "'task mixture'"], "known": ["(0,)", "(0, 8)"], "frames": ["9"], "part": ["0.3", "1"],
        "score": ["'psnr'"], "shares": ["[0.1, 0.2]"], "curve": ["[rand(2, 4), 1 + rand(1, 4)]"], "wanted": ["rand(2, 4)"],
        **{name: ["{'seeds': [0], 'by_prompt': {'psnr': [1.0, 2.0]}}"] for name in ("low", "high")},
    },
    r"small_models\.experiments\.held_out\.\w+": {
        "captions": ["['a red circle moves up']"], "world": ["world()"], "count": ["2"], "seed": ["0"],
    },
    r"small_models\.experiments\.(figures\.figure|report\.show_table|verdicts\.verdict|records\.(table_of|tidy|prompt_table))": {"found": _TABLE},
    r"small_models\.experiments\..*": {
        "rows": _ROWS, "row": ["found('steps')['rows'][0]"], "other": ["found('steps')['rows'][1]"], "key": ["'way'", "'steps'"],
        "x": ["'steps'"], "name": ["'psnr'"], "score": ["'psnr'"], "values": ["rand(4)"], "groups": ["whole(2, 4)"],
        "truth": ["film(9)"], "known": ["[0]"],
    },
    r"small_models\.files\.promote": {"part": ["checkpoint()"], "path": ["new('a.safetensors')"], "more": ["{'a': 1}"]},
    r"small_models\.files\.(read_weights|read_card)": {"path": ["checkpoint()"]},
    r"small_models\.files\.write_weights": {
        "path": ["new('a.safetensors')"], "weights": ["{'a': rand(2)}"], "inside": ["{'kind': 'x'}"], "about": ["{'a': 1}"],
    },
    r"small_models\.models\.zoo\.(card|load|find_checkpoint)": {"name": ["'nano-vta'", "checkpoint()"], "strength": ["1.0", "0.5"]},
    r"small_models\.models\.zoo\.is_update": {"name": ["'nano-vta'"], "base": ["'nano-base'"]},
    r"small_models\.models\.zoo\.(codec_of|base_of)": {"path": ["checkpoint()"]},
    r"small_models\.models\.zoo\.save.*": {
        "model": ["nano()"], "path": ["new('a.safetensors')"], "about": ["{}", "{'a': 1}"], "codec": ["None"], "base": ["checkpoint()"],
        "update": ["{'a': rand(2)}"],
    },
    r"small_models\.evaluation\.goals\.compare_with_goals": {"metrics": ["the('small_models.models.zoo.card')('mini-vta')['metrics']"], "name": ["'mini-vta'"]},
    r"small_models\.models\.i2v\.\w+": {"preset": ["i2v_preset()"], "codec": ["None"]},
    r"small_models\.models\.(toy\.ToyModel|flow_map\.FlowMapToy|actions\.ActionToy)": {"preset": ["nano().preset"]},
    r"small_models\.models\.lora\.merge_update": {"model": ["linear()"], "update": ["{'0.lora_A.weight': rand(2, 4), '0.lora_B.weight': rand(4, 2)}", "{'0.bias': rand(4)}"]},
    r"small_models\.evaluation\.suite\.\w+": {
        "raw": ["suite_raw()"], "truth": ["[suite_raw()]"], "worst": ["[suite_raw(0.5)]"],
        "scale": ["the('pusa_lab.metrics.vbench.RANGES')"],
        "groups": ["torch.arange(3)"],
    },
    r"small_models\.evaluation\.sheets\.\w+": {"model": ["nano()"], "count": ["1", "2"], "rows": ["[film(9), film(9)]"], "folder": ["new('s')"]},
    r"small_models\.evaluation\.ways\.make_clips": {
        "make": ["lambda prompts, truth, seed: truth"], "scenes": ["scenes(2)"], "truth": ["clip(2, 3, 8, 16, 16)"], "first": ["0", "16"],
    },
    r"small_models\.evaluation\.ways\.parts": {"geometry": ["nano().geometry"], "device": ["'cpu'"], "size": ["1", "4"], "seeds": ["1", "2"], "frames": ["0", "4"]},
    r"small_models\.evaluation\.ways\.\w+": {
        "model": ["nano()"], "truth": ["np.stack([film(8), film(8)])"], "prompts": ["['a red circle moves right', 'a blue square moves up']"],
        "known": ["[0]"], "noise": ["0.3", "[0.3]"], "geometry": ["nano().geometry"],
    },
    r"small_models\.world\.(tracks|reader)\.\w+": {
        "where": ["rand(2, 8, 2, 2)"], "area": ["rand(2, 8, 2)"], "world": ["world()"], "size": ["torch.zeros(2, 2).long()"],
        "colour": ["whole(3, 2, 2)"], "clip": ["clip(2, 3, 8, 16, 16)"], "costs": ["rand(2, 2, 1, 8, 3)"],
        "motion": ["torch.zeros(2, 2).long()"], "speed": ["torch.zeros(2, 2).long()"],
    },
    r"small_models\.training\.action_job\.action_dataset": {"clips": ["3"], "frames": ["4"], "batch": ["2"], "device": ["'cpu'"]},
    r"small_models\.(world\.actions|evaluation\.actions)\.\w+": {
        "n": ["2"], "frames": ["1", "8"], "world": ["world()"], "scenes": ["scenes(2)"], "actions": ["torch.zeros(2, 8).long()", "whole(6, 2, 8)"],
        "clip": ["clip(2, 3, 8, 16, 16)"],
    },
    r"small_models\.world\.captions\.parse": {"caption": ["'a red circle moves slowly right'"], "world": ["world()"]},
    r"small_models\.world\.pictures\.distance": {
        "x": ["rand(2, 3)"], "y": ["rand(2, 3)"], "r": ["rand(2, 3)"], "shape": ["'circle'", "'square'", "'ring'"],
    },
    r"small_models\.world\.tables\.World": {
        "size": ["16"], "frames": ["8"], "objects": ["(0.5, 0.5)"], "nouns": ["('circle',)"], "colours": ["3"],
        "motions": ["world().motions"], "speeds": ["world().speeds"], "sizes": ["world().sizes"],
    },
    r"small_models\.world\.digits\.cover": {
        "x": ["rand(2, 3, 8, 8)"], "y": ["rand(2, 3, 8, 8)"], "r": ["rand(2, 1, 1, 1) + 0.1"], "look": ["whole(2, 2)"], "digit": ["3"],
    },
}  # fmt: skip
"""As `own.OWN`."""
