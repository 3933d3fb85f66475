"""What readers are likely to get wrong in chapter 5, and a fragment of the sentence that each must be told."""

_STEP = (
    "def my_step(toy, x0, words, seed):\n    g = torch.Generator().manual_seed(seed)\n"
    "    tau = timestep_samplers.{sampler}(x0.shape[0], x0.shape[2], g)\n    eps = torch.randn(x0.shape, generator=g)\n"
    "    t = tau[:, None, :, None, None]\n    v = toy((1 - t) * x0 + t * eps, tau, **toy.encode_text(words))\n"
    "    return {result}"
)
_SAMPLER = (
    "def my_sampler(batch, frames, generator=None):\n    tau = timestep_samplers.shared(batch, frames, generator)\n"
    "    {}\n    return tau"
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
        (_STEP.format(sampler="independent", result="(v - eps).square().mean(dim=(1, 3, 4))"), "yours is the noise"),
        (_STEP.format(sampler="independent", result="(v - x0).square().mean(dim=(1, 3, 4))"), "the clean clip"),
        (
            _STEP.format(sampler="independent", result=_SQUARES + ".mean(dim=(1, 3, 4))").replace(
                "toy((1 - t) * x0 + t * eps", "toy(t * x0 + (1 - t) * eps"
            ),
            "the wrong way round",
        ),
        (_STEP.format(sampler="independent", result=_SQUARES + ".sum(dim=(1, 3, 4))"), "this is a sum"),
        (_STEP.format(sampler="independent", result="(v - (eps - x0)).abs().mean(dim=(1, 3, 4))"), "mean distance"),
        (_STEP.format(sampler="independent", result=_SQUARES + ".mean(dim=(1, 2, 3))"), "they are axis 2"),
        (_STEP.format(sampler="independent", result=_SQUARES + ".mean()"), "this is one number:"),
        (_STEP.format(sampler="independent", result=_SQUARES + ".mean(dim=(1, 2, 3, 4))"), "one number per clip"),
    ],
    [
        (_SAMPLER.format("tau[:, 0] = 0"), "only frame 0"),
        (
            _SAMPLER.format("tau[:, [0, -1]] = 0").replace("frames, generator)\n", "frames, None)\n"),
            "is `generator` passed on",
        ),
        (_SAMPLER.format("tau[:, [0, 7]] = 0"), "is its number written as 7"),
        (_SAMPLER.format("tau[:, [0, -1]] = 0.01"), "exactly clean"),
        (_SAMPLER.format("tau[:, [0, 3, -1]] = 0"), "in the middle is clean too"),
        (_SAMPLER.format("tau[:, [0, -1]] = 0").replace("shared", "independent"), "must share one timestep"),
        (_SAMPLER.format("tau[:, 1:-1] = 0.5; tau[:, [0, -1]] = 0"), "a new one for each clip"),
    ],
    [
        ("my_own = timestep_samplers.independent", "no frame is known"),
        ("my_own = timestep_samplers.clean_prefix(1)", "the same frames are known"),
        ("my_own = lambda b, f, g: torch.zeros(b, f)", "every frame is known"),
        ("my_own = lambda b, f, g: 1.5 * timestep_samplers.task_mixture()(b, f, g)", "between 0 and 1"),
        ("my_own = lambda b, f, g: timestep_samplers.shared(b, 1, g)", "one column per frame"),
        (
            _SAMPLER.format("tau[:, [0, -1]] = 0").replace("return tau", "").replace("my_sampler", "my_own"),
            "is a `return` missing",
        ),
    ],
]
