"""Wrong answers to the exercises of chapter 10, and what `check` must say of them."""

COSTS = (
    "def my_costs(height, width, frames):\n    f = {latent}\n    n = f * (height // {patch}) * (width // {patch})\n"
    "    return torch.tensor([n, n * {vector}, f * {vector}])"
)
LATENT, VECTOR = "1 + (frames - 1) // 4", "6 * config.dim * 2"
DEAF = (
    "my_file = {{}}\nfor block in {blocks}:\n"
    "    weight = model.transformer.get_submodule(f'blocks.{{block}}.attn2.{of}').weight\n"
    "    key = f'blocks.{{block}}.cross_attn.{layer}.lora_'\n"
    "    my_file[key + 'A.default.weight'] = torch.eye(weight.shape[1])\n"
    "    my_file[key + 'B.default.weight'] = {b}"
)

MISTAKES = [
    [
        (COSTS.format(latent=LATENT, patch=8, vector=VECTOR), "patches of them"),
        (COSTS.format(latent="frames // 4", patch=16, vector=VECTOR), "lose a latent frame"),
        (COSTS.format(latent=LATENT, patch=16, vector="6 * config.dim"), "2 bytes a number"),
        (COSTS.format(latent=LATENT, patch=16, vector="3 * config.dim * 2"), "*and* of the feed-forward"),
        (COSTS.format(latent=LATENT, patch=16, vector="12 * config.dim * 40"), "all blocks share them"),
        (COSTS.format(latent="frames", patch=16, vector=VECTOR), "you count pixel frames"),
        (COSTS.format(latent=f"({LATENT}) // 2", patch=16, vector=VECTOR), "time is not shortened again"),
        (COSTS.format(latent=LATENT, patch=16, vector=VECTOR).replace(", f *", ","), "all latent frames have"),
        (COSTS.format(latent=LATENT, patch=16, vector="2 * config.dim"), "one vector for each frame or token"),
        (COSTS.format(latent=LATENT, patch=16, vector="6 * config.dim * 4"), "bfloat16 takes 2 bytes"),
        (COSTS.format(latent=LATENT, patch=16, vector=VECTOR).replace(", f *", ", frames *"), "per *latent* frame"),
        (COSTS.format(latent=LATENT, patch=16, vector=f"{VECTOR} / 1e6"), "not in MB or GB"),
        ("def my_costs(height, width, frames):\n    return torch.tensor([1])", "its axes should be (tokens,"),
    ],
    [
        ("my_tau = torch.full((1, 5), 0.9)", "equal timesteps hide"),
        ("my_tau = torch.tensor([[0.0, 0.9, 0.9, 0.9, 0.0]])", "not yet three"),
        ("my_tau = torch.tensor([[0.0, 0.3, 0.5, 0.7, 0.9]])", "what does frame 4 get there"),
        ("my_tau = torch.tensor([[0.0, 500.0, 900.0, 500.0, 0.0]])", "the factor 1000 comes later"),
        ("my_tau = torch.tensor([0.0, 0.5, 0.9, 0.5, 0.0])", "one sample, five frames"),
        ("my_tau = [0.0, 0.5, 0.9, 0.5, 0.0]", "a tensor of floats"),
        ("my_tau = 0.5 + 1e-7 * torch.tensor([[0.0, 1.0, 2.0, 1.0, 0.0]])", "so close to each other"),
    ],
    [
        (DEAF.format(blocks="(0, 1)", layer="o", of="to_out.0", b="weight.clone()"), "look at the sign"),
        (DEAF.format(blocks="(0,)", layer="o", of="to_out.0", b="-weight.clone()"), "in one of the two blocks"),
        (DEAF.format(blocks="(0, 1)", layer="k", of="to_k", b="-weight.clone()"), "pass on the values"),
        (DEAF.format(blocks="(0, 1)", layer="o", of="to_out.0", b="-0.5 * weight"), "exactly what must be taken away"),
        (
            DEAF.format(blocks="(0, 1)", layer="o", of="to_out.0", b="-weight.clone()").replace("attn.o", "atn.o"),
            "could not be tried",
        ),
        (
            DEAF.format(blocks="(0, 1)", layer="o", of="to_out.0", b="-weight.clone()")
            .replace("cross_attn", "self_attn")
            .replace("attn2", "attn1"),
            "outside cross-attention",
        ),
        ("my_file = [1, 2]", "give a dict"),
    ],
]
