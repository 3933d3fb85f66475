"""What readers are likely to get wrong in chapter 5, and a fragment of the sentence that each must be told."""

_STEP = (
    "def my_step(toy, x0, words, seed):\n    g = torch.Generator().manual_seed(seed)\n"
    "    tau = timestep_samplers.{sampler}(x0.shape[0], x0.shape[2], g)\n    eps = torch.randn(x0.shape, generator=g)\n"
    "    t = tau[:, None, :, None, None]\n    v = toy((1 - t) * x0 + t * eps, tau, **toy.encode_text(words))\n"
    "    return {result}"
)
_SQUARES = "(v - (eps - x0)).square()"

MISTAKES = [
    [
        (
            _STEP.format(sampler="independent", result="(v - (x0 - eps)).square().mean(dim=(1, 3, 4))"),
            "points the other way",
        ),
        (_STEP.format(sampler="shared", result=_SQUARES + ".mean(dim=(1, 3, 4))"), "the same timestep"),
        (
            "def my_step(toy, x0, words, seed):\n    g = torch.Generator().manual_seed(seed)\n"
            "    eps = torch.randn(x0.shape, generator=g)\n"
            "    tau = timestep_samplers.independent(x0.shape[0], x0.shape[2], g)\n"
            "    return losses.fafm_frame_loss(toy, x0, tau, eps, **toy.encode_text(words))",
            "before the timesteps",
        ),
        (_STEP.format(sampler="independent", result=_SQUARES + ".mean()"), "this is one number:"),
        (_STEP.format(sampler="independent", result=_SQUARES + ".mean(dim=(1, 2, 3, 4))"), "one number per clip"),
    ],
    [
        ("my_sampler = timestep_samplers.clean_prefix(3)", "must share one timestep"),
        ("my_sampler = timestep_samplers.clean_prefix(1, rest=timestep_samplers.shared)", "only frame 0"),
        ("my_sampler = timestep_samplers.clean_prefix(4, rest=timestep_samplers.shared)", "more than three"),
        ("my_sampler = timestep_samplers.per_block(3)", "exactly clean"),
        (
            "my_sampler = lambda b, f, g: torch.cat([torch.zeros(b, 3), torch.full((b, f - 3), 0.5)], dim=1)",
            "a new one for each clip",
        ),
    ],
    [
        ("my_own = timestep_samplers.independent", "within 0.3"),
        ("my_own = timestep_samplers.shared", "within 0.3"),
        (
            "def my_own(batch, frames, generator):\n    return (torch.arange(frames) / frames).expand(batch, -1)",
            "the same timestep in every clip",
        ),
        (
            "def my_own(batch, frames, generator):\n"
            "    return torch.rand(batch, 1, generator=generator) + torch.arange(frames) / frames",
            "between 0 and 1",
        ),
        (
            "def my_own(batch, frames, generator):\n"
            "    tau = (torch.rand(batch, 1, generator=generator) + torch.arange(frames) / frames) % 1",
            "is a `return` missing",
        ),
    ],
]
