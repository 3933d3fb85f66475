"""Wrong answers to the exercises of chapter 10, and what `check` must say of them."""

VIEWED = (
    "def my_viewed(tokens, scale, shift):\n    frames = tokens.unflatten(1, (scale.shape[1], -1))\n"
    "    scale, shift = scale[:, :, None], shift[:, :, None]\n    return {made}"
)
COPIED = (
    "def my_viewed(tokens, scale, shift):\n    n = tokens.shape[1] // scale.shape[1]\n"
    "    scale, shift = (x{spread} for x in (scale, shift))\n    return tokens * (1 + scale) + shift"
)
DEAF = (
    "my_file = {{}}\nfor block in {blocks}:\n"
    "    weight = model.transformer.get_submodule(f'blocks.{{block}}.attn2.{of}').weight\n"
    "    key = f'blocks.{{block}}.cross_attn.{layer}.lora_'\n"
    "    my_file[key + 'A.default.weight'] = torch.eye(weight.shape[1])\n"
    "    my_file[key + 'B.default.weight'] = {b}"
)

MISTAKES = [
    [
        (VIEWED.format(made="(frames * scale + shift).flatten(1, 2)"), "what is added to the scale"),
        (VIEWED.format(made="(frames * (1 + shift) + scale).flatten(1, 2)"), "changed places"),
        (VIEWED.format(made="((frames + shift) * (1 + scale)).flatten(1, 2)"), "shift before you scale"),
        (VIEWED.format(made="frames * (1 + scale) + shift"), "a row of tokens"),
        (VIEWED.format(made="None"), "is a `return` missing?"),
        (VIEWED.format(made="(frames * (1 + scale[:, :1]) + shift[:, :1]).flatten(1, 2)"), "each has its own"),
        (VIEWED.format(made="(frames * (1 + scale)).flatten(1, 2)"), "some tokens are not"),
        (VIEWED.format(made="tokens * (1 + scale) + shift"), "could not be tried"),
        (
            "def my_viewed(tokens, scale, shift):\n    groups = tokens.unflatten(1, (-1, scale.shape[1]))\n"
            "    return (groups * (1 + scale[:, None]) + shift[:, None]).flatten(1, 2)",
            "you take every third",
        ),
        (COPIED.format(spread=".repeat_interleave(n, 1)"), "still copied"),
        (COPIED.format(spread="[:, :, None].expand(-1, -1, n, -1).flatten(1, 2)"), "still copied"),
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
