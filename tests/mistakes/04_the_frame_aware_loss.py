"""What readers are likely to get wrong in chapter 4, and a fragment of the sentence that each must be told."""

_LOSS = "def my_loss(denoiser, x0, tau, eps, weight):\n    t = tau[:, None, :, None, None]\n"
_FRAME = "    frame_loss = (denoiser((1 - t) * x0 + t * eps, tau) - (eps - x0)).square().mean(dim=(1, 3, 4))\n"

MISTAKES = [
    [
        (
            _LOSS + "    v = denoiser((1 - t) * x0 + t * eps, tau)\n"
            "    return (weight * (v - (x0 - eps)).square().mean(dim=(1, 3, 4))).mean()",
            "points the other way",
        ),
        (
            _LOSS + "    v = denoiser(t * x0 + (1 - t) * eps, tau)\n"
            "    return (weight * (v - (eps - x0)).square().mean(dim=(1, 3, 4))).mean()",
            "the other way round",
        ),
        (
            _LOSS + "    v = denoiser((1 - t) * x0 + t * eps, tau)\n"
            "    return (weight * (v - eps).square().mean(dim=(1, 3, 4))).mean()",
            "the noise alone",
        ),
        (_LOSS + _FRAME + "    return (weight**2 * frame_loss).mean()", "it multiplies the square"),
        (_LOSS + _FRAME + "    return (weight * frame_loss).mean() * 3 * 6 * 7", "added up"),
        (
            _LOSS + "    v = denoiser((1 - t) * x0 + t * eps, tau.mean(1, True).expand_as(tau))\n"
            "    return (weight * (v - (eps - x0)).square().mean(dim=(1, 3, 4))).mean()",
            "one timestep per clip",
        ),
        (_LOSS + _FRAME + "    return (weight.mean(1) * frame_loss.mean(1)).mean()", "over the frames of a clip"),
        (_LOSS + _FRAME + "    return weight.mean() * frame_loss.mean()", "averaged before it multiplied"),
        (_LOSS + _FRAME + "    return frame_loss.mean()", "is not used"),
        (_LOSS + _FRAME + "    return (weight * frame_loss).sum() / weight.sum()", "the sum of the weights"),
        (_LOSS + _FRAME + "    return (weight * frame_loss).sum()", "the loss is a mean"),
        (_LOSS + _FRAME + "    return weight * frame_loss", "average it over clips and frames"),
    ],
    [
        ("my_floors = 0.36", "three numbers"),
        ("my_floors = torch.tensor([0.59, 0.36, 1 - 2 * 0.64])", "do not subtract both"),
        ("my_floors = torch.ones(3)", "of the clean frames"),
        ("my_floors = torch.tensor([0.41, 0.64, 0.78])", "the floor is the rest"),
        ("my_floors = torch.tensor([0.36, 0.2, 0.1])", "by its square"),
        ("my_floors = torch.tensor([0.64, 0.36, 0.22])", "with correlation 0.64"),
        ("my_floors = torch.tensor([0.59, 0.59 * 0.36, 0.22])", "anything new"),
        ("my_floors = torch.tensor([0.59, 0.36, 0.36])", "leave less"),
        ("my_floors = torch.tensor([0.59, 0.36, 0.36**2])", "does not multiply"),
        ("my_floors = torch.tensor([0.59, 0.36, 0.3])", "for the best k"),
    ],
    [
        ("my_sampler = timestep_samplers.independent", "one clip in five"),
        ("my_sampler = timestep_samplers.clean_prefix(rest=timestep_samplers.shared)", "hardly meets some noise level"),
        (
            "def my_sampler(batch, frames, generator):\n    tau = torch.rand(batch, frames, generator=generator)\n"
            "    return torch.cat([tau[:, :1] / 20, (1 + tau[:, 1:]) / 2], dim=1)",
            "hardly meets some noise level",
        ),
        (
            "def my_sampler(batch, frames, generator):\n    tau = torch.rand(batch, frames)\n"
            "    return torch.cat([tau[:, :1] / 20, (1 + tau[:, 1:]) / 2], dim=1)",
            "the same generator",
        ),
        ("def my_sampler(batch, frames, generator):\n    return 2 * torch.rand(batch, frames)", "between 0 and 1"),
        (
            "def my_sampler(batch, frames, generator):\n    tau = torch.rand(batch, frames, generator=generator)\n"
            "    return torch.cat([tau[:, :1] / 20, (1 + tau) / 2], dim=1)",
            "one row per clip",
        ),
        (
            "def my_sampler(batch, frames, generator):\n    torch.rand(batch, frames, generator=generator)",
            "is a `return` missing",
        ),
    ],
]
