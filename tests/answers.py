"""The exercises of every chapter, one by one: wrong answers that must be refused, then a right one."""

ANSWERS = {
    "00_quick_tour": [
        (
            [
                "def my_euler_step(x, v, tau, tau_next):\n    return x + (tau - tau_next)[:, None, :, None, None] * v",
                "def my_euler_step(x, v, tau, tau_next):\n    return x + (tau_next - tau).mean() * v",
            ],
            "def my_euler_step(x, v, tau, tau_next):\n    return x + (tau_next - tau)[:, None, :, None, None] * v",
        ),
        (
            ["my_result = pl.generate(model, PROMPT, tasks.image_to_video(picture, noise=0.0), steps=2)"],
            "my_result = pl.generate(model, PROMPT, tasks.image_to_video(picture, noise=0.3), steps=2)",
        ),
        (
            ["my_schedule = schedules.pyramid(4, frames, lag=2)", "my_schedule = torch.ones(5, frames)"],
            "my_schedule = schedules.pyramid(4, frames, lag=2).flip(1)",
        ),
    ],
    "01_one_timestep_per_frame": [
        (
            [
                "def my_interpolate(x0, eps, tau):\n    return tau[:, None, :, None, None] * x0",
                "def my_interpolate(x0, eps, tau):\n    return torch.lerp(eps, x0, tau[:, None, :, None, None])",
            ],
            "def my_interpolate(x0, eps, tau):\n    t = tau[:, None, :, None, None]\n    return (1 - t) * x0 + t * eps",
        ),
        (
            ["my_mean = torch.tensor([0.7, 0.56, 0.448])"],
            "x = torch.randn(SAMPLES, 1, 3, 1, 1)\nx[:, :, 2] = 0.7\n"
            "my_mean = samplers.sample(model, x, schedules.hold(STEPS, 3, at=(2,)), 'heun').view(SAMPLES, 3).mean(0)",
        ),
        (
            ["my_schedule = torch.linspace(1, 0.5, STEPS)[:, None].expand(-1, 3)"],
            "my_schedule = schedules.pyramid(STEPS, 3, lag=5).flip(1)",
        ),
    ],
    "02_the_zoo_of_schedules": [
        (
            ["def my_shift(levels, shift):\n    return levels / (1 + (shift - 1) * levels)"],
            "def my_shift(levels, shift):\n    return shift * levels / (1 + (shift - 1) * levels)",
        ),
        (["my_calls = 10 * 21", "my_calls = 10 + 21 * 3"], "my_calls = 10 + 20 * 3"),
        (
            ["my_schedule = schedules.pyramid(4, 5)", "my_schedule = schedules.delayed(4, [4, 0, 4, 0, 4])"],
            "my_schedule = schedules.delayed(4, [0, 4, 0, 4, 0])",
        ),
    ],
    "03_solvers_and_known_frames": [
        (
            ["def my_weights(h, before):\n    return torch.tensor([1.5, -0.5])"],
            "def my_weights(h, before):\n    w = h / before / 2\n    return torch.stack([1 + w, -w])",
        ),
        (["my_calls = 26", "my_calls = 2 * (10 + 8 * 2)"], "my_calls = 2 * (10 + 8 * 2) - 1"),
        (
            ["my_solver = euler"],
            "def my_solver(denoiser, x, tau, tau_next):\n"
            "    half = (tau_next - tau)[:, None, :, None, None] / 2\n"
            "    v = denoiser(x + half * denoiser(x, tau), (tau + tau_next) / 2)\n"
            "    return x + 2 * half * v, v",
        ),
    ],
    "04_the_frame_aware_loss": [
        (
            [
                "def my_loss(denoiser, x0, tau, eps, weight):\n"
                "    return weight.mean() * losses.fafm_loss(denoiser, x0, tau, eps)",
                "def my_loss(denoiser, x0, tau, eps, weight):\n    t = tau[:, None, :, None, None]\n"
                "    v = denoiser((1 - t) * x0 + t * eps, tau)\n"
                "    return (weight * (v - (x0 - eps)).square().mean(dim=(1, 3, 4))).mean()",
            ],
            "def my_loss(denoiser, x0, tau, eps, weight):\n    t = tau[:, None, :, None, None]\n"
            "    v = denoiser((1 - t) * x0 + t * eps, tau)\n"
            "    return (weight * (v - (eps - x0)).square().mean(dim=(1, 3, 4))).mean()",
        ),
        (
            ["my_floor = torch.tensor([0.36, 0.0, 0.36])", "my_floor = torch.ones(3)"],
            "my_floor = torch.tensor([1 - 0.8**2, 1.0, 1 - 0.8**2])",
        ),
        (
            [
                "my_sampler = timestep_samplers.independent",
                "my_sampler = timestep_samplers.clean_prefix()",
                "my_sampler = released",
            ],
            "def my_sampler(batch, frames, generator=None):\n"
            "    tau = timestep_samplers.independent(batch, frames, generator)\n"
            "    picture = torch.cat([tau[:, :1] / 20, (1 + tau[:, 1:]) / 2], dim=1)\n"
            "    return torch.where(torch.rand(batch, 1, generator=generator) < 0.3, picture, tau)",
        ),
    ],
    "05_train_a_toy": [
        (
            [
                "def my_step(toy, x0, words, g):\n"
                "    tau = timestep_samplers.independent(*x0.shape[::2][:2], g)\n"
                "    eps = torch.randn(x0.shape, generator=g)\n"
                "    t = tau[:, None, :, None, None]\n"
                "    v = toy((1 - t) * x0 + t * eps, tau, **toy.encode_text(words))\n"
                "    return (v - (x0 - eps)).square().mean(dim=(1, 3, 4))",
                "def my_step(toy, x0, words, g):\n"
                "    tau, eps = timestep_samplers.shared(*x0.shape[::2][:2], g), torch.randn(x0.shape, generator=g)\n"
                "    return losses.fafm_frame_loss(toy, x0, tau, eps, **toy.encode_text(words))",
            ],
            "def my_step(toy, x0, words, g):\n"
            "    tau = timestep_samplers.independent(*x0.shape[::2][:2], g)\n"
            "    eps = torch.randn(x0.shape, generator=g)\n"
            "    t = tau[:, None, :, None, None]\n"
            "    v = toy((1 - t) * x0 + t * eps, tau, **toy.encode_text(words))\n"
            "    return (v - (eps - x0)).square().mean(dim=(1, 3, 4))",
        ),
        (
            [
                "my_sampler = timestep_samplers.clean_prefix(3)",
                "my_sampler = picture",
                "my_sampler = timestep_samplers.per_block(3)",
            ],
            "my_sampler = timestep_samplers.clean_prefix(3, rest=timestep_samplers.shared)",
        ),
        (
            ["my_own = timestep_samplers.independent", "my_own = timestep_samplers.shared"],
            "def my_own(batch, frames, generator):\n"
            "    return (torch.rand(batch, 1, generator=generator) + torch.arange(frames) / frames) % 1",
        ),
    ],
    "06_tasks_without_training": [
        (
            [
                "def my_start_end(first, last, noise):\n    K = tasks.Known\n"
                "    return K(first, 0, noise=noise), K(last, -2, noise=noise)",
                "def my_start_end(first, last, noise):\n    return tasks.start_end(first, last[-1], noise).known",
            ],
            "def my_start_end(first, last, noise):\n    K = tasks.Known\n"
            "    return K(first, 0, noise=noise), K(last, -1, noise=noise)",
        ),
        (["my_noise = 0.1", "my_noise = 1.0"], "my_noise = 0.55"),
        (
            [
                "my_task = tasks.start_end(video[0], video[end])",
                "my_task = tasks.keyframes([video[0], video[16]], at=[0, 4], noise=0.3)",
            ],
            "my_task = tasks.Task('middle', (tasks.Known(video[13:21], at=4),))",
        ),
    ],
    "07_measuring": [
        (
            [
                "def my_mean(scores, ranges, weights):\n"
                "    return sum(w * scores[k] for k, w in weights.items()) / sum(weights.values())",
                "def my_mean(scores, ranges, weights):\n"
                "    parts = [(scores[k] - ranges[k][0]) / (ranges[k][1] - ranges[k][0]) for k in weights]\n"
                "    return sum(parts) / len(parts)",
            ],
            "def my_mean(scores, ranges, weights):\n"
            "    n = {k: (scores[k] - ranges[k][0]) / (ranges[k][1] - ranges[k][0]) for k in weights}\n"
            "    return sum(w * n[k] for k, w in weights.items()) / sum(weights.values())",
        ),
        (
            [
                "def my_damage(clip):\n    return suite.destroyed(clip)['blurred']",
                "def my_damage(clip):\n    return suite.destroyed(clip)['noise']",
                "def my_damage(clip):\n    return clip.flip(2)",
            ],
            "def my_damage(clip):\n    return clip[:, :, torch.arange(clip.shape[2]) * 7 % clip.shape[2]]",
        ),
        (
            [
                "my_metric = metrics.motion_smoothness",
                "my_metric = metrics.dynamic_degree",
                "def my_metric(clip):\n    return metrics.motion(clip).mean()",
            ],
            "def my_metric(clip):\n    return metrics.motion(clip).mean(1) * (metrics.motion_smoothness(clip) - 0.9)",
        ),
    ],
    "08_ablations": [
        (
            [
                "def my_stretch(start, end, s):\n    return {k: s * end[k] for k in end}",
                "def my_stretch(start, end, s):\n    return {k: end[k] + s * (end[k] - start[k]) for k in end}",
            ],
            "def my_stretch(start, end, s):\n    return {k: start[k] + s * (end[k] - start[k]) for k in end}",
        ),
        (
            ["my_choice = ('dpmpp_2m', 5, 1.0)", "my_choice = ('euler', 10, 1.0)", "my_choice = ('euler', 5, 1.4)"],
            "my_choice = ('euler', 5, 1.0)",
        ),
        (
            [
                "def my_score(model, clips, captions):\n"  # asks no model
                "    return metrics.motion(pixels.to_pixels(clips)).mean(dim=1)",
                "def my_score(model, clips, captions):\n"  # another noise every time
                "    made = generate(model, captions, steps=2, seed=int(torch.randint(10**6, (1,)))).video\n"
                "    return metrics.psnr(pixels.to_pixels(made), pixels.to_pixels(clips)).mean(dim=1)",
                "def my_score(model, clips, captions):\n"  # asks nothing of the truth
                "    made = generate(model, captions, steps=2, guidance=1.0, seed=SEED).video\n"
                "    return metrics.motion(pixels.to_pixels(made)).mean(dim=1)",
            ],
            "def my_score(model, clips, captions):\n"
            "    task = tasks.Task('mine', known_frames(clips, [0], model.geometry))\n"
            "    made = generate(model, captions, task, steps=2, guidance=1.0, seed=SEED).video\n"
            "    return metrics.psnr(pixels.to_pixels(made), pixels.to_pixels(clips))[:, 1:].mean(dim=1)",
        ),
    ],
    "09_inside": [
        (
            [
                "def my_mass(q, k, grid):\n"
                "    a = torch.einsum('bqnd,bknd->bnqk', q, k).softmax(-1)\n"
                "    return a.unflatten(2, (grid[0], -1)).unflatten(-1, (grid[0], -1)).sum(-1).mean(3).mean(1)",
                "def my_mass(q, k, grid):\n"
                "    q, k = (t.unflatten(1, (grid[0], -1)).mean(2) for t in (q, k))\n"
                "    return (torch.einsum('bind,bjnd->bnij', q, k) * q.shape[-1] ** -0.5).softmax(-1).mean(1)",
            ],
            "def my_mass(q, k, grid):\n"
            "    a = (torch.einsum('bqnd,bknd->bnqk', q, k) * q.shape[-1] ** -0.5).softmax(-1)\n"
            "    return a.unflatten(2, (grid[0], -1)).unflatten(-1, (grid[0], -1)).sum(-1).mean(3).mean(1)",
        ),
        (["my_level = 0.0", "my_level = 0.5", "my_level = 1.0"], "my_level = 0.92"),
        (
            [
                "def my_listening(denoiser, x, tau):\n    return torch.ones(x.shape[2], x.shape[2])",
                "def my_listening(denoiser, x, tau):\n"
                "    v = denoiser(x, tau).transpose(0, 2).flatten(1)\n    return (v @ v.T).softmax(-1)",
                "def my_listening(denoiser, x, tau):\n    heard = []\n    for j in range(x.shape[2]):\n"
                "        y = x.clone()\n        y[:, :, j] = 0\n"
                "        heard.append((denoiser(y, tau) - denoiser(x, tau)).abs().mean((0, 1, 3, 4)))\n"
                "    return torch.stack(heard, 0)",
            ],
            "def my_listening(denoiser, x, tau):\n    heard = []\n    for j in range(x.shape[2]):\n"
            "        y = x.clone()\n        y[:, :, j] = 0\n"
            "        heard.append((denoiser(y, tau) - denoiser(x, tau)).abs().mean((0, 1, 3, 4)))\n"
            "    return torch.stack(heard, 1)",
        ),
    ],
    "10_from_toy_to_wan": [
        (
            [
                "def my_costs(height, width, frames):\n    n = (1 + (frames - 1) // 4) * (height // 8) * (width // 8)\n"
                "    return torch.tensor([n, n * 6 * 5120 * 2, (1 + (frames - 1) // 4) * 6 * 5120 * 2])",
                "def my_costs(height, width, frames):\n    f = frames // 4\n"
                "    n = f * (height // 16) * (width // 16)\n"
                "    return torch.tensor([n, n * 6 * 5120 * 2, f * 6 * 5120 * 2])",
            ],
            "def my_costs(height, width, frames):\n    f = 1 + (frames - 1) // 4\n"
            "    n = f * (height // 16) * (width // 16)\n"
            "    return torch.tensor([n, n * 6 * 5120 * 2, f * 6 * 5120 * 2])",
        ),
        (
            [
                "my_plan = plan('wan2.1-14b', '720p', gpu='rtx4090', compiled=True)",
                "my_plan = plan('wan2.1-14b', '720p', gpu='rtx4090', offload='group')",
                "my_plan = plan('wan2.1-14b', '720p', gpu='rtx4090', offload='group', price=0.1)",
                "my_plan = plan('wan2.1-14b', '480p', gpu='rtx4090', offload='group')",
            ],
            "my_plan = plan('wan2.1-14b', '720p', gpu='rtx4090', offload='group', compiled=True)",
        ),
        (
            [
                "my_schedule = schedules.synchronous(8, 3, shift=5.0)",
                "my_schedule = schedules.synchronous(8, 3, shift=12.0).clone()\nmy_schedule[:, 0] = 0",
                "my_schedule = torch.cat([torch.full((6, 3), 0.9), torch.zeros(3, 3)])",
            ],
            "my_schedule = schedules.synchronous(8, 3, shift=12.0)",
        ),
    ],
    "11_playground": [
        (
            [
                "def my_drag(column, row, level):\n    out = column.clone()\n    out[row] = level\n    return out",
                "def my_drag(column, row, level):\n    return column.clamp(max=level)",
            ],
            "def my_drag(column, row, level):\n    out = column.clone()\n    out[:row] = out[:row].clamp(min=level)\n"
            "    out[row] = level\n    out[row + 1:] = out[row + 1:].clamp(max=level)\n    return out",
        ),
        (
            ["my_delays = [0, 2, 4, 6, 8]", "my_delays = [0, 1, 2, 1, 0]", "my_delays = [4, 2, 0, 2, 4]"],
            "my_delays = [0, 2, 4, 2, 0]",
        ),
        (
            [
                "my_schedule = schedules.pyramid(4, 9)",
                "my_schedule = schedules.delayed(4, [abs(i - 4) for i in range(9)])",
                "my_schedule = torch.ones(3, 9)",
            ],
            "my_schedule = schedules.delayed(4, [5, 4, 3, 2, 0, 1, 6, 7, 8])",
        ),
    ],
}
