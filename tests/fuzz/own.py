"""Valid arguments of particular functions, where neither annotation nor name tells them."""
# ruff: noqa: E501, tables of values

_FILE = "small_models.models.zoo.find_checkpoint('nano-vta')"
_NAMES = ("cost", "preserved", "timestep_samplers", "lora", "steps", "noise", "tasks", "schedules", "inside", "suite")
_TABLE = [
    text for name in _NAMES for text in (f"found({name!r})", *(f"damaged({name!r}, {seed})" for seed in range(100)))
]
_ROWS = ["found('cost')['rows']", "found('steps')['rows'][:3]"]
_SEEN = "{'where': rand(3, 9, 2, 2)}"
_RAW = "raw()"
_WAN = "wan_folder()"

OWN: dict[str, dict[str, list[str]]] = {
    r"pusa_lab\.analytic\.condition": {
        "mean": ["rand(3)"], "cov": ["torch.eye(3) * 2"], "known": ["[0]", "(2,)"], "values": ["rand(1)", "[0.5]"],
    },
    r"pusa_lab\.analytic\.GaussianDenoiser": {"mean": ["rand(3)"], "cov": ["torch.eye(3)"]},
    r"pusa_lab\.analytic\.GaussianDenoiser\.__call__": {"x": ["randn(2, 1, 4, 3, 3)"], "tau": ["rand(2, 4)"]},
    r"pusa_lab\.model_checks\.check_model": {
        "model": ["Stub()", "nano()"], "clip": ["None", "film(9)"], "prompts": ["['a red circle moves right', 'a blue square moves up']"],
        "frames": ["None", "3"], "scalar": ["None"], "strict": ["False"],
    },
    r"pusa_lab\.vta\.adoption\.\w+": {
        "transformer": ["transformer()", "skyreels()"], "tau": ["[[0.5, 0.5]]", "torch.zeros(2, 3)"], "config": ["dict(skyreels().config)"],
    },
    r"pusa_lab\.models\.ModelFamily": {
        "name": ["'mine'"], "what": ["'my own file'"], "knows": ["lambda name: False"], "load": ["lambda name: nano()"],
        "load_encoders": ["lambda name: nano()"], "names": ["lambda: []"], "train": ["None", "print"], "presets": ["lambda: []"],
    },
    r"pusa_lab\.models\.(find_family|load|load_encoders)": {
        "name": ["'nano-vta'", "wan_folder()"], "lora": ["None"], "strength": ["None"], "device": ["'cpu'"],
    },
    r"small_models\.family\.load_toy": {"name": ["'nano-vta'", "'nano-base'"], "lora": ["None"], "strength": ["None"], "device": ["'cpu'"]},
    r"pusa_lab\.data\.nal_units\.\w+": {
        "data": ["b'\\0\\0\\1abc'", "b''"], "length": ["0", "4", "1"], "unit": ["b'abc'", "b''"], "parts": ["[b'abc']"],
        "extradata": ["b''", "b'\\0\\0\\1abc'"],
    },
    r"pusa_lab\.data\.decode\.\w+": {
        "picture": ["picture()"], "matrix": ["np.array([1, 0, 0, 0, 1, 0, 0, 0, 1])"], "path": ["clip_file()"], "aspect": ["Fraction(1)", "Fraction(4, 3)"],
        "height": ["16"], "width": ["16"], "time": ["Fraction(0)"], "frame": ["shown().frame"], "size": ["(16, 16)"],
    },
    r"pusa_lab\.viz\.sweeps\.plot_sweep": {"x": ["'a'", "'b'"], "ax": ["None"]},
    r"pusa_lab\.(sweeps\.compare|viz\.sweeps)\.\w+": {
        "df": ["swept()", "swept()[:9]"], "baseline": ["{'a': 0, 'b': 'x'}"], "metric": ["'score'", "None", "['score', 'other']"], "level": ["0.95", "0.5"],
        "x": ["'seconds'"], "y": ["'score'", "'other'"], "best": ["('low', 'high')"], "points": ["[(1.0, 2.0), (0.0, 3.0)]"], "setting": ["None", "{'a': 0}"],
        "most": ["2", "8"], "frames": ["2", "9"],
    },
    r"pusa_lab\.sweeps\.store\.read_kept_clip": {"path": ["kept_clip()"]},
    r"pusa_lab\.sweeps\.expanded\.\w+": {"level": ["0.95", "0.5"], "groups": ["2", "12"], "degrees": ["1", "12"]},
    r"pusa_lab\.sweeps\.run\.sweep": {
        "model": ["the('pusa_lab.sweeps.expanded.t_quantile')"], "settings": ["{'level': [0.5, 0.9], 'degrees': 3}"], "prompts": ["'a'", "['a', 'b']"],
        "seeds": ["0", "[0, 1]"], "metrics": ["()"], "truth": ["None"], "cache": ["new('swept')"], "workers": ["1"], "setup": ["None"], "progress": ["False"],
        "keep_clips": ["False"],
    },
    r"pusa_lab\.data\.named\.with_files": {"value": ["picture_file()", "'a'", "[str(picture_file())]"], "read": ["print"]},
    r"pusa_lab\.files\.\w+": {
        "path": ["new('file')", "json_file()"], "folder": ["new('folder')", "folder()"], "what": ["'the file'"], "value": ["{'a': 1}", "[1.5]"],
        "fields": ["{}", "{'a': int}", "{'a': (int, str)}"], "found": ["{'a': 1}"], "sentence": ["'the manifest cannot be read'"], "name": ["'a/b'"],
        "where": ["'the manifest'"],
    },
    r"pusa_lab\.data\.manifest\.(?!Cache).*": {
        "path": ["picture_file()"], "folder": ["cache_folder()"], "manifest": ["cache().manifest"], "wanted": ["{'channels': 3}", "{}"],
        "fps": ["16"], "start": ["0.0"],
    },
    r"pusa_lab\.training\.resume\.\w+": {
        "checkpoint": ["{'a': rand(2), 'b': [1, {'c': 2}]}"], "config": ["config()"], "resume": ["new('last.ckpt')"], "about": ["None"],
        "module": ["trained_module()"], "found": ["{'state_dict': {}, 'optimizer_states': []}"],
    },
    r"pusa_lab\.data\.(latents\.damaged|cache\.begun)": {
        "folder": ["cache_folder()"], "hashes": ["cache().manifest['files']"], "names": ["list(cache().manifest['files'])"],
    },
    r"pusa_lab\.training\.data\.first_not_finite": {"videos": ["rand(3, 2, 2)", "torch.full((2, 2), nan)"]},
    r"pusa_lab\.wan\.lora\.kinds\.\w+": {"keys": ["['blocks.0.attn1.to_q.lora_A.weight']"], "where": ["'the file'"], "kind": ["'DoRA'"], "proof": ["'a.dora_scale'"]},
    r"pusa_lab\.data\.folders\.find_clips": {"folder": ["clips()", "str(clips())"]},
    r"pusa_lab\.data\.clips\.\w+": {
        "path": ["clip_file()"], "num_frames": ["1", "5"], "size": ["None", "(16, 16)", "(8, 24)"], "fps": ["None", "16", "8"],
        "start": ["0.0"], "last": ["None"],
    },
    r"pusa_lab\.extend\.extend_to": {
        "start": ["picture(8, 8)", "tasks.text_to_video()"], "seconds": ["0.5"], "overlap": ["1", "2"], "frames": ["4"],
        "prompt": ["'a'"], "**": ["steps=2", "guidance=1.0", "schedule='pyramid'", "shift=3.0"],
    },
    r"pusa_lab\.generate\.(generate|prepare)": {
        "**": ["steps=2", "guidance=1.0", "schedule='pyramid'", "schedule=falling(3, 4)", "seed=3", "frames=3", "solver='ab3'"],
        "guidance": ["1.0", "2.0", "rand(4)", "'apg(scale=3)'", "'text_cfg(scale=[1, 2, 3, 4]) | cfg_zero_star(scale=2)'"], "frames": ["4", "None"], "negative": ["''", "'blurred'"],
        "schedule": ["'pyramid'", "schedules.synchronous", "falling(3, 4)", "falling(3, 4).tolist()"],
    },
    r"pusa_lab\.guidance\.(registry|layers)\.\w+": {
        "guider": ["partial(the('pusa_lab.guidance.text.text_cfg'), null={}, scale=2.0)", "lambda denoiser: denoiser"], "denoiser": ["nano()", "skipping()"],
        "text": ["'apg(scale=5)'", "'cfg_zero_star(scale=2) | text_cfg(scale=[1, 2])'"], "layers": ["[0]", "(1, -1)"], "number": ["2", "3"], "**": [],
    },
    r"pusa_lab\.finetune\.watch": {"model": ["trainable()"], "row": ["0", "2"], "folder": ["None"]},
    r"pusa_lab\.finetune\.check_wan": {
        "data": ["cache_folder()"], "out": ["new('a.safetensors')"], "config": ["config(lora_rank=2)"], "compiled": ["False"],
        "logs": ["None"], "resume": ["None"], "float8": ["False"], "processes": ["1"],
    },
    r"pusa_lab\.data\.pictures\.read_picture": {"path": ["picture_file()", "str(picture_file())"]},
    r"pusa_lab\.media\.read_metadata": {"path": ["told_file()"]},
    r"pusa_lab\.media\.write_clip": {"path": ["new('a.mp4')"], "video": ["film()"], "scale": ["1", "2"], "metadata": ["None", "{'prompt': 'a'}"]},
    r"pusa_lab\.media\.write_picture": {"path": ["new('a.png')"], "picture": ["picture()"]},
    r"pusa_lab\.media\.enlarge": {"video": ["film()"]},
    r"pusa_lab\.metrics\.frames\.check_clips": {"clip": ["clip(2, 3, 5, 16, 16)"], "frames": ["1", "3"]},
    r"pusa_lab\.metrics\.frames\.check_masks": {"clip": ["clip(2, 3, 5, 16, 16)"], "mask": ["rand(2, 1, 5, 16, 16)"]},
    r"pusa_lab\.metrics\.frames\.follow_errors": {"made": ["film(9)[None]"], "truth": ["film(9)[None]"], "stride": ["1", "4"]},
    r"pusa_lab\.metrics\.inside\.attention_mass": {"transformer": ["transformer()", "nano().dit"]},
    r"pusa_lab\.metrics\.inside\.frame_mass": {"q": ["randn(1, 8, 2, 4)"], "k": ["randn(1, 8, 2, 4)"], "grid": ["[2, 2, 2]"]},
    r"pusa_lab\.metrics\.inside\.parameter_change": {"before": ["linear()"], "after": ["linear()"]},
    r"pusa_lab\.metrics\.temporal\.boundary_jump": {"at": ["[1]", "(1, 2)"]},
    r"pusa_lab\.metrics\.(appearance|frames|quality|temporal)\..*": {
        "clip": ["clip(2, 3, 9, 16, 16)"], "truth": ["clip(2, 3, 9, 16, 16)"], "mask": ["rand(2, 1, 9, 16, 16)"],
        "picture": ["clip(2, 3, 1, 16, 16)"], "picture_mask": ["rand(2, 1, 1, 16, 16)"],
    },
    r"pusa_lab\.metrics\.intervals\..*": {"level": ["0.9", "0.5"], "rounds": ["10", "20"]},
    r"pusa_lab\.metrics\.vbench\.totals": {
        "scores": ["dict.fromkeys(the('pusa_lab.metrics.vbench.RANGES'), 0.9)", "{'subject_consistency': 0.5}"],
    },
    r"pusa_lab\.pixels\.to_pixels": {"clip": ["picture()", "film()", "film()[None] / 255"]},
    r"pusa_lab\.pixels\.fit": {"size": ["(16, 16)", "(7, 9)"]},
    r"pusa_lab\.schedules\.checks\.(validate|faults)": {"schedule": ["falling(3, 4)"]},
    r"pusa_lab\.schedules\.compose\.from_columns": {"columns": ["[[1, 0.5, 0], [1, 0]]", "[falling(3, 1)[:, 0], 0.0]"]},
    r"pusa_lab\.schedules\.compose\.concatenate_\w+": {"parts": ["[falling(3, 2)] * 1", "[falling(4, 2)]"]},
    r"pusa_lab\.schedules\.sigmas\.levels": {"sigmas": ["'linear'", "schedules.linear", "[1, 0.5, 0]"], "steps": ["2"]},
    r"pusa_lab\.schedules\.matrices\.delayed": {"delays": ["[0, 1]", "(0, 0, 3)"]},
    r"pusa_lab\.schedules\.matrices\.noise_levels": {"n": ["1", "2"], "noise": ["0.5", "[0.1, 0.2]"]},
    r"pusa_lab\.tasks\.known\.Mode": {"levels": ["tasks.MODES['hold'].levels"]},
    r"pusa_lab\.tasks\.known\.(scaled|constant)": {"column": ["falling(5, 1)[:, 0]"], "m": ["0.3", "0"]},
    r"pusa_lab\.pixels\.clip_of": {"clip": ["film(5)", "film(5)[None]"], "name": ["'the clip'"]},
    r"pusa_lab\.pixels\.pixels_of": {"value": ["film(5)", "picture()"], "name": ["'the clip'"]},
    r"pusa_lab\.pixels\.picture_of": {"picture": ["picture()"], "name": ["'picture'"]},
    r"pusa_lab\.tasks\.keyframes": {"pictures": ["[picture(8, 8)]"], "at": ["[0]", "(-1,)"], "pixel_at": ["None"]},
    r"pusa_lab\.tasks\.completion": {"video": ["film(9)"], "known": ["[range(0, 1)]", "(range(0, 5), range(8, 9))"], "noise": ["0"]},
    r"pusa_lab\.tasks\.extension": {"clip": ["film(9)", "film(9) / 255"], "known": ["None", "5"]},
    r"pusa_lab\.tasks\.known\.Known": {"clip": ["picture(8, 8)", "film(5)"], "at": ["0", "-1"], "pixel_at": ["None"]},
    r"pusa_lab\.tasks\.known\.Task": {"name": ["'mine'"], "known": ["()", "(tasks.Known(picture(), at=0),)"]},
    r"pusa_lab\.conditions\.Conditions\..*": {
        "schedule": ["falling(3, 4)"], "eps": ["randn(1, 3, 4, 8, 8)"], "x": ["randn(1, 3, 4, 8, 8)"], "tau": ["rand(1, 4)"],
    },
    r"pusa_lab\.conditions\.place": {"task": ["tasks.image_to_video(picture())"], "frames": ["3"], "geometry": ["Stub().geometry"]},
    r"pusa_lab\.conditions\.encode_at": {"at": ["0", "1"]},
    r"pusa_lab\.training\.config\.TrainConfig": {
        "optimizer": ["'adamw'"], "lr_scheduler": ["'cosine'"], "timestep_sampler": ["'shared'", "'mixed'"], "precision": ["'auto'"], "compile": ["''"],
        "weight": ["'uniform'", "'bell'"], "t_min": ["0.0", "0.1"], "t_max": ["1.0", "0.9"], "ema": ["0.9"], "beta2": ["0.99"],
        "caption_dropout": ["0.1"], "micro_batch_size": ["0"], "max_steps": ["4"], "global_batch_size": ["2"], "shift": ["1.0", "3.0"],
    },
    r"pusa_lab\.data\.cache\.CacheWriter": {"folder": ["new('cache')"], "empty": ["rand(4, 2)"]},
    r"pusa_lab\.training\.data\.LatentVideoDataModule": {"train": ["dataset()"], "val": ["None", "dataset()"]},
    r"pusa_lab\.data\.captions\.decoded_text": {"path": ["clip_file().with_suffix('.txt')"], "most": ["1000"]},
    r"pusa_lab\.data\.captions\.read_captions": {"folder": ["clips()"]},
    r"pusa_lab\.data\.encode\.check_encode": {"folder": ["clips()"], "out": ["new('cache')"], "settings": ["None", "{'frames': 8}"]},
    r"pusa_lab\.wan\.lora\.check_matched": {
        "found": ["the('pusa_lab.wan.lora.match.Match')(pairs={'a': pair()})"], "entries": ["lora_tensors()"], "where": ["'a.safetensors'"],
    },
    r"pusa_lab\.wan\.model\.WanModel": {
        "transformer": ["transformer()"], "codec": ["wan_codec()"], "low": ["None"], "offload": ["'none'"], "boundary": ["0.875"],
        "geometry": ["None"],
    },
    r"small_models\.files\.read_description": {"path": ["checkpoint()"]},
    r"pusa_lab\.training\.batch\.as_batch": {"given": ["(randn(2, 2, 3, 4, 4), ['a', 'b'])"], "number": ["0"]},
    r"pusa_lab\.training\.data\.InMemoryDataset": {"videos": ["rand(3, 3, 4, 8, 8)"], "captions": ["['a', 'b', 'c']"], "batch": ["2"]},
    r"pusa_lab\.data\.encode\.encode_\w+": {
        "folder": ["clips()"], "model": ["nano()"], "out": ["new('cache')"], "name": ["'nano-vta'"], "frames": ["8", "None"],
        "size": ["None", "(16, 16)"], "fps": ["16", "None"], "start": ["0.0"], "**": ["frames=8", "fps=16"],
    },
    r"pusa_lab\.data\.encode\.settle": {"model": ["nano()"], "frames": ["8"], "size": ["(16, 16)"], "fps": ["16"]},
    r"pusa_lab\.data\.encode\.(codec|text)_hash": {"model": ["nano()", "Stub()"]},
    r"pusa_lab\.data\.encode\.encode_report": {"steps": ["iter([the('pusa_lab.data.encode.EncodedClip')('a', 'encoded', '', 1, 1)])"]},
    r"pusa_lab\.data\.latents\.(LatentCache|read_manifest)": {"folder": ["cache_folder()"]},
    r"pusa_lab\.data\.latents\.LatentCache\.__getitem__": {"i": ["0", "2", "-1"]},
    r"pusa_lab\.training\.loop\.check_run": {"resume": ["None"]},
    r"pusa_lab\.training\.module\.by_timestep_and_frame": {"tau": ["rand(2, 3)"], "loss": ["rand(2, 3)"]},
    r"pusa_lab\.training\.activation_checkpointing\.set_activation_checkpointing": {"model": ["transformer()"], "keeps": ["['attention', 'input']"]},
    r"pusa_lab\.training\.lora\.add_lora": {"model": ["linear()"], "layers": ["''"]},
    r"pusa_lab\.viz\.results\.plot_\w+|.*\.dress": {
        "ax": ["figure().add_subplot()"], "lines": ["{'a': [(1, [1.0, 0.5, 1.5]), (2, [1.0, 0.5, 1.5])]}"], "levels": ["None"],
        "bars": ["{'a': {'b': [1.0, 0.5, 1.5]}}"], "values": ["[[1.0, 2.0]]"], "rows": ["['a']"], "columns": ["['b', 'c']"],
        "spread": ["None"], "limits": ["None", "(0.0, 1.0)"], "ticks": ["None", "{1.0: 'a'}"], "form": ["'.1f'"],
        "colours": ["['red', 'blue', 'green']"],
    },
    r"pusa_lab\.viz\.results\.plot_grid": {"colours": ["'cividis'"]},
    r"pusa_lab\.viz\.results\.panels": {"layout": ["[['a', 'b']]"]},
    r"pusa_lab\.viz\.results\.save_figure": {"path": ["new('a.png')"]},
    r"pusa_lab\.wan\.checks\..*|pusa_lab\.metrics\.inside\.x": {
        "config": ["wan_config()"], "path": ["lora_file()"], "file": ["wan_weights()"], "model": ["transformer()"],
        "strength": ["1.0"], "partial": ["False", "True"],
    },
    r"pusa_lab\.wan\.experts\.check_experts": {"singles": ["[None, None]"], "updates": ["[[], []]", "[[(lora_file(), 1.0)], []]"]},
    r"pusa_lab\.wan\.folders\.(find_folder|check_wan_folder)": {"source": [_WAN, f"str({_WAN})"], "path": [_WAN]},
    r"pusa_lab\.wan\.folders\.weight_files": {"folder": [f"{_WAN} / 'transformer'"]},
    r"pusa_lab\.wan\.folders\.(check_whole|tensors)": {"file": ["lora_file()", "wan_weights()"]},
    r"pusa_lab\.wan\.folders\.read_object": {"file": ["json_file()"]},
    r"pusa_lab\.wan\.latents\.\w+": {
        "codec": ["wan_codec()"], "clip": ["clip(1, 3, 5, 16, 16)"], "latents": ["randn(1, 4, 2, 2, 2)"],
    },
    r"pusa_lab\.wan\.loading\.sizes": {"codec": ["wan_codec().config"], "transformer": ["transformer().config"]},
    r"pusa_lab\.wan\.loading\..*": {
        "offload": ["'none'", "'model'"], "codec": ["wan_codec()"], "transformer": ["transformer()"], "name": ["'transformer'"],
        "single": ["None"], "size": ["(16, 16)"], "frames": ["None", "2"], "paths": ["lora_file()", "[lora_file()]"],
        "strength": ["1.0"],
    },
    r"pusa_lab\.wan\.lora\.load_lora": {"model": ["transformer()"], "name": ["None", "'x'"]},
    r"pusa_lab\.wan\.lora\.\w+": {
        "source": ["lora_file()", "lora_tensors()"], "strengths": ["{'lora': 0.5}"], "name": ["'lora'"], "path": ["new('a.safetensors')"],
        "naming": ["'diffusers'", "'wan'"], "names": ["None", "'lora'"], "model": ["adapted()"],
    },
    r"pusa_lab\.wan\.lora\.adapters\.attach": {"model": ["transformer()"]},
    r"pusa_lab\.wan\.lora\.adapters\..*": {
        "name": ["'lora'"], "pairs": ["{'blocks.0.attn1.to_q': pair()}"], "sign": ["1", "-1"], "factor": ["0.5"],
        "changes": ["{'blocks.0.attn1.to_q.bias': torch.zeros(24)}"], "model": ["adapted()"],
        "parameters": ["['blocks.0.attn1.to_q.weight']"],
    },
    r"pusa_lab\.wan\.lora\.match\.(match|of_expert|statements_of)": {"expert": ["None"]},
    r"pusa_lab\.wan\.lora\.scale\.scale_of": {
        "statements": ["[]", "[statement()]"], "own": ["None", "2.0"], "names": ["['blocks.0.attn1.to_q']"], "rank": ["2"],
    },
    r"pusa_lab\.wan\.lora\.match\.(match|module_of)": {
        "weights": ["dict(transformer().named_parameters())"], "entries": ["lora_tensors()"], "parameter": ["'a.weight'"],
    },
    r"pusa_lab\.wan\.lora\.names\..*": {
        "naming": ["'diffusers'"], "path": ["'blocks.0.attn1.to_q'"], "part": ["'a'", "'b'"], "paths": ["['blocks.0.attn1.to_q']"],
        "key": ["'blocks.0.attn1.to_q.lora_A.weight'"],
    },
    r"pusa_lab\.planning\.planner\.plan": {
        "model": ["'wan2.1-14b'", "'wan2.2-5b'"], "size": ["'480p'", "(480, 832)"], "num_frames": ["None", "81"], "gpu": ["'h100'"],
        "dtype": ["None", "'bfloat16'"], "offload": ["'none'"], "mode": ["'sample'"], "steps": ["10"], "price": ["None", "2.5"],
        "guidance": ["1.0"], "lora_rank": ["64"], "gpus": ["1"],
    },
    r"pusa_lab\.planning\.recipe\.\w+": {
        "transformer": ["{}"], "gpus": ["1"], "s": ["planned().settings"], "known": ["True", "False"],
    },
    r"pusa_lab\.planning\.training\.\w+": {"s": ["planned().settings"], "tokens": ["100"], "rank": ["0", "4"]},
    r"pusa_lab\.planning\..*": {
        "gpu": ["'h100'"], "tokens": ["100"], "part": ["'forward'"], "stage": ["'denoising'"], "changes": ["{}"],
        "word": ["'480x832'"], "device": ["'NVIDIA H200'"],
    },
    r"pusa_lab\.wan\.transformer\.\w+": {
        "rule": ["lambda x, v: x * v"], "spans": ["((0, 2, 0, 2),)"], "tokens": ["(rand(1, 4, 3),)"], "vectors": ["(rand(1, 2, 3),)"],
        "config": ["transformer().config"], "start": ["0"], "stop": ["8"], "per_frame": ["4"],
        "dim": ["24"], "ffn_dim": ["16"], "num_heads": ["2"], "qk_norm": ["'rms_norm_across_heads'"], "added_kv_proj_dim": ["None"],
    },
    r"pusa_lab\.wan\.trainable\.TrainableWan": {"transformer": ["transformer()"], "words": ["{'': rand(4, 16)}"], "codec": ["None"]},
    r"pusa_lab\.wan\.prompts\.PromptEncoder": {"load": ["lambda: None"], "cache": ["None", "new('prompts')"]},
    r"pusa_lab\.registry\.Registry": {"kind": ["'number'"], "group": ["'tests.numbers'"], "members": ["{'half': abs}"]},
    r"pusa_lab\.registry\.misfit": {"function": ["pl.guidance.apg"], "settings": ["['scale']", "['skale']"], "places": ["2"], "named": ["[]"]},
    r"pusa_lab\.registry\.written_calls": {"text": ["'bell'", "'min_snr(gamma=2) | bell'"], "registry": ["pl.losses.WEIGHTS"]},
    r"pusa_lab\.studio\.editing\.columns": {"text": ["'0'", "'0, 1'", "'1-1'"], "frames": ["4"]},
    r"pusa_lab\.studio\.fallback\.heat_map": {"row": ["0"], "frame": ["0"], "faults": ["[]"]},
    r"pusa_lab\.studio\.fallback\.strip": {"lane": ["lane()"]},
    r"pusa_lab\.studio\.known\.read_dropped": {"name": ["'a.png'"], "content": ["picture_file().read_bytes()"]},
    r"pusa_lab\.studio\.edits\.as_levels": {"matrix": ["falling(3, 2).tolist()"], "frames": ["2"]},
    r"pusa_lab\.studio\.edits\.parameters": {"name": ["'pyramid'", "'hold'"]},
    r"pusa_lab\.studio\.edits\.(drag|paint|freeze|delay|copy|mending)": {
        "S": ["falling(5, 4)"], "frame": ["0", "1", "-1"], "row": ["1", "2"], "rows": ["[1]"], "frames": ["[0]", "[1, 2]"], "to": ["[1]"],
    },
    r"pusa_lab\.studio\.runs\.sprite_sheet": {"frames": ["film()"]},
    r"pusa_lab\.studio\.runs\.scores": {"video": ["film(4)"], "frames": ["4"], "truth": ["None", "film(4)"]},
    r"small_models\.models\.codec\.Codec": {"config": ["mini_codec().config"]},
    r"small_models\.models\.codec\.(channels_last_|initialise|calibrate)": {
        "codec": ["fresh_codec()"], "batches": ["[clip(1, 3, 5, 16, 16)]"],
    },
    r"small_models\.models\.codec\.codec_loss": {"clip": ["clip(1, 3, 5, 16, 16)"]},
    r"small_models\.training\.data\.\w+": {
        "name": ["'nano'"], "count": ["2"], "folder": ["clips()"], "source": ["'nano'", "str(clips())"], "geometry": ["nano().geometry"],
        "clips": ["lambda count, seed: parts()"], "build": ["pixel_dataset"], "counts": ["(3, 2)"], "batches": ["(2, 1)"], "seeds": ["(0, 1)"],
        "parts": ["parts()"], "batch": ["2"], "model": ["nano()"], "clip": ["clip(1, 3, 5, 8, 8)"],
    },
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
    r"small_models\.evaluation\.measure_features\.shares": {"logits": ["logits()"], "labels": ["the('small_models.models.features.labels_of')(scenes(2, 'mini'))"]},
    r"small_models\.evaluation\.measure_features\.ladder": {"found": ["{'true': rand(3, 4), 'frozen': rand(3, 4)}"], "others": ["rand(3, 4)"]},
    r"small_models\.experiments\.result_store\.read_results": {"path": ["ROOT / 'small_models' / 'results' / 'paper' / 'steps.json'"]},
    r"small_models\.experiments\.claims\.claims": {"folder": ["ROOT / 'small_models' / 'results' / 'paper'"]},
    r"small_models\.experiments\.verdicts\.looks": {"found": ["found('inside')"]},
    r"small_models\.experiments\.verdicts\.best_strengths": {"found": ["found('lora')"], "rank": ["8", "'full'"], "score": ["'psnr'"]},
    r"small_models\.experiments\.verdicts\.find_row": {"found": ["found('steps')"], "**": ["steps=10"]},
    r"small_models\.experiments\.verdicts\.(farther|largest)": {"kinds": ["kinds()"], "other": ["kinds()"]},
    r"small_models\.experiments\.(figures\.figure|report\.show_table|verdicts\.verdict|records\.table_of|result_store\.tidy)": {"found": _TABLE},
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
    r"small_models\.models\.zoo\.(codec_of|base_of)": {"path": ["checkpoint()"]},
    r"small_models\.models\.zoo\.save.*": {
        "model": ["nano()"], "path": ["new('a.safetensors')"], "about": ["{}", "{'a': 1}"], "codec": ["None"], "base": ["checkpoint()"],
        "update": ["{'a': rand(2)}"],
    },
    r"small_models\.evaluation\.goals\.compare": {"metrics": ["the('small_models.models.zoo.card')('mini-vta')['metrics']"], "name": ["'mini-vta'"]},
    r"small_models\.models\.i2v\.\w+": {"preset": ["i2v_preset()"], "codec": ["None"]},
    r"small_models\.models\.toy\.ToyModel": {"preset": ["nano().preset"]},
    r"small_models\.models\.lora\.merge_update": {"model": ["linear()"], "update": ["{'0.lora_A.weight': rand(2, 4), '0.lora_B.weight': rand(4, 2)}", "{'0.bias': rand(4)}"]},
    r"small_models\.evaluation\.suite\.\w+": {
        "raw": ["suite_raw()"], "truth": ["[suite_raw()]"], "worst": ["[suite_raw(0.5)]"],
        "scale": ["the('pusa_lab.metrics.vbench.RANGES')"],
        "groups": ["torch.arange(3)"],
    },
    r"small_models\.evaluation\.sheets\.\w+": {"model": ["nano()"], "count": ["1", "2"], "rows": ["[film(9), film(9)]"], "folder": ["new('s')"]},
    r"small_models\.evaluation\.ways\.\w+": {
        "model": ["nano()"], "truth": ["np.stack([film(8), film(8)])"], "prompts": ["['a red circle moves right', 'a blue square moves up']"],
        "known": ["[0]"], "noise": ["0.3", "[0.3]"], "geometry": ["nano().geometry"],
    },
    r"small_models\.world\.(tracks|reader)\.\w+": {
        "where": ["rand(2, 8, 2, 2)"], "area": ["rand(2, 8, 2)"], "world": ["world()"], "size": ["torch.zeros(2, 2).long()"],
        "colour": ["whole(3, 2, 2)"], "clip": ["clip(2, 3, 8, 16, 16)"], "costs": ["rand(2, 2, 1, 8, 3)"],
        "motion": ["torch.zeros(2, 2).long()"], "speed": ["torch.zeros(2, 2).long()"],
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
"""Pattern of full names -> parameter -> values; the first pattern that knows the parameter counts."""
