"""pytest tests/test_codec.py: a whole clip at once equals diffusers' chunks; conversion, loss, normalisation."""

import pytest
import torch

from small_models.models.codec import Codec, calibrate, channels_last_, codec_loss, initialise, pixel_weights

SMALL = {
    "base_dim": 4,
    "z_dim": 3,
    "dim_mult": [1, 2, 4, 4],
    "num_res_blocks": 1,
    "temperal_downsample": [False, True, True],
    "attn_scales": [],
}
REAL = {**SMALL, "base_dim": 16, "z_dim": 8}
OTHERS = {
    "uneven": {**SMALL, "decoder_base_dim": 6},
    "two blocks": {**SMALL, "num_res_blocks": 2},
    "early time": {**SMALL, "temperal_downsample": [True, True, False]},
}


def active(config):
    """A codec all of whose paths matter: random weights, gains and biases, also where training starts from 0 or 1."""
    codec = Codec(config).eval()
    with torch.no_grad():
        for name, parameter in codec.named_parameters():
            if name.endswith(("gamma", "bias")):
                parameter += 0.3 * torch.randn_like(parameter)
        codec.mean.normal_()
        codec.std.uniform_(0.5, 2)
    return codec


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(1)
    return active(SMALL)


def wan(**config):
    """From diffusers, which takes seconds to import: here and not above."""
    from diffusers import AutoencoderKLWan

    return AutoencoderKLWan(**config).eval()


def pictures(b, f, size=8):
    return 2 * torch.rand(b, 3, f, size, size) - 1


def normalised(codec, z):
    return (z - codec.mean.view(-1, 1, 1, 1)) / codec.std.view(-1, 1, 1, 1)


@torch.no_grad()
def check_equal(codec, b, f, size):
    clip = pictures(b, f, size)
    vae = codec.to_diffusers()
    theirs = vae.encode(clip).latent_dist
    mu, logvar = codec.moments(clip)
    assert mu.shape == (b, codec.z_dim, 1 + (f - 1) // 4, size // 8, size // 8)
    assert mu.std() > 0.01
    assert (mu - theirs.mean).abs().max() < 1e-5
    assert (logvar - theirs.logvar).abs().max() < 1e-5
    z = torch.randn_like(mu)
    pixels = vae.decode(z).sample
    assert pixels.shape == clip.shape and pixels.std() > 0.01
    assert (codec.decode(normalised(codec, z)) - pixels).abs().max() < 1e-5
    assert (codec.decode_raw(z).clamp(-1, 1) - pixels).abs().max() < 1e-5
    assert (codec.encode(clip) - normalised(codec, theirs.mean)).abs().max() < 1e-5


@pytest.mark.parametrize(("b", "f"), [(1, 1), (2, 1), (3, 5), (2, 9), (2, 33)])
def test_equals_diffusers_chunks(small, b, f):
    check_equal(small, b, f, 8 if f == 33 else 16)


def test_equals_diffusers_chunks_at_the_real_width():
    check_equal(active(REAL), 1, 5, 64)


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_other_sizes_equal_diffusers(name):
    check_equal(active(OTHERS[name]), 1, 9, 16)


@pytest.mark.parametrize(("b", "parts"), [(1, [3]), (2, [3, 1]), (1, [3, 2]), (2, [3, 3, 2])])
@pytest.mark.parametrize("config", [SMALL, REAL])
def test_decoding_in_parts_changes_nothing(monkeypatch, config, b, parts):
    torch.manual_seed(2)
    codec = active(config)
    z, taken, decode = torch.randn(b, codec.z_dim, sum(parts), 1, 3), [], codec.vae.decode
    monkeypatch.setattr(codec.vae, "decode", lambda part: taken.append(part.shape[2]) or decode(part))
    whole = codec.decode_raw(z)
    assert whole.requires_grad and taken == b * [sum(parts)]  # whose gradients are those of a whole clip
    taken.clear()
    with torch.no_grad():
        torch.testing.assert_close(codec.decode_raw(z), whole.detach(), rtol=0, atol=1e-5)
    assert taken == b * parts


def test_gradients_equal_diffusers(small):
    clip, z = pictures(2, 9), torch.randn(2, 3, 3, 1, 1)
    vae = small.to_diffusers()
    ours = small.moments(clip)[0].square().sum() + small.decode_raw(z).clamp(-1, 1).square().sum()
    theirs = vae.encode(clip).latent_dist.mean.square().sum() + vae.decode(z).sample.square().sum()
    ours = torch.autograd.grad(ours, list(small.vae.parameters()))
    theirs = torch.autograd.grad(theirs, list(vae.parameters()))
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).abs().max() <= 1e-4 * (1 + b.abs().max())


@pytest.mark.parametrize("config", [SMALL, REAL, *OTHERS.values()])
def test_starts_as_diffusers_does(config):
    """Name by name, in order, and from the same seed number by number."""
    torch.manual_seed(3)
    ours = Codec(config).vae
    torch.manual_seed(3)
    theirs = wan(**config)
    pairs = zip(ours.named_parameters(), theirs.named_parameters(), strict=True)
    assert all(a == b and torch.equal(p, q) for (a, p), (b, q) in pairs)
    assert ours.state_dict().keys() == theirs.state_dict().keys()


@torch.no_grad()
def test_conversion_round_trip_is_exact(small):
    theirs = small.to_diffusers()
    assert torch.equal(torch.tensor(theirs.config.latents_mean), small.mean)
    back = Codec.from_diffusers(theirs)
    assert not back.training and back.config | SMALL == back.config | {"attn_scales": []}
    clip = pictures(1, 5)
    assert torch.equal(back.encode(clip), small.encode(clip))
    assert torch.equal(back(clip), small(clip))
    half = Codec(back.config).to(torch.bfloat16)
    assert half.to_diffusers().dtype == Codec.from_diffusers(half.to_diffusers()).mean.dtype == torch.bfloat16


@torch.no_grad()
def test_a_random_wan_from_diffusers_reads_the_same():
    scale = {"latents_mean": [0.1, -0.2, 0.3], "latents_std": [1.5, 2.0, 0.5]}
    theirs, clip = wan(**SMALL, **scale), pictures(2, 5)
    ours = Codec.from_diffusers(theirs)
    mean, std = (torch.tensor(v).view(3, 1, 1, 1) for v in scale.values())
    mu = theirs.encode(clip).latent_dist.mean
    assert (ours.encode(clip) - (mu - mean) / std).abs().max() < 1e-5
    assert (ours(clip) - theirs.decode(mu).sample).abs().max() < 1e-5


def test_wans_that_do_not_convert():
    with pytest.raises(ValueError, match="16 latents_mean and 16 latents_std do not fit 3 latent channels: build"):
        Codec.from_diffusers(wan(**SMALL))
    with pytest.raises(ValueError, match="no attn_scales"):
        Codec.from_diffusers(wan(**{**SMALL, "attn_scales": [0.25]}))


@torch.no_grad()
def test_time_is_causal(small):
    clip = pictures(2, 9)
    whole = small.encode(clip)
    assert (small.encode(clip[:, :, :1]) - whole[:, :, :1]).abs().max() < 1e-5
    assert (small.encode(clip[:, :, :5]) - whole[:, :, :2]).abs().max() < 1e-5
    pixels = small.decode(whole)
    assert (small.decode(whole[:, :, :2]) - pixels[:, :, :5]).abs().max() < 1e-5


@torch.no_grad()
def test_layout_and_precision_keep_the_result(small):
    clip = pictures(2, 5)
    want = small.encode(clip), small.decode(small.encode(clip))
    other = channels_last_(Codec(SMALL).eval())
    other.load_state_dict(small.state_dict())
    assert other.vae.encoder.conv_in.weight.is_contiguous(memory_format=torch.channels_last_3d)
    z = other.encode(clip.contiguous(memory_format=torch.channels_last_3d))
    assert (z - want[0]).abs().max() < 1e-5
    assert (other.decode(z) - want[1]).abs().max() < 1e-5
    with torch.autocast("cpu", torch.bfloat16):
        z = small.encode(clip)
        assert z.dtype == torch.float32 and (z - want[0]).abs().max() < 0.1
        assert (small.decode(want[0]) - want[1]).abs().max() < 0.1


@pytest.mark.parametrize("f", [1, 5])
def test_loss_reaches_every_weight(small, f):
    small.zero_grad()
    loss, log = codec_loss(small, pictures(2, f), kl_weight=0.1)
    assert set(log) == {"distance", "kl", "mse"} and not any(value.requires_grad for value in log.values())
    loss.backward()
    unused = "time_conv" if f == 1 else "nothing"
    for name, parameter in small.named_parameters():
        if unused in name:
            assert parameter.grad is None
        else:
            assert parameter.grad.isfinite().all() and parameter.grad.abs().max() > 0, name


def test_start(small):
    codec = Codec(SMALL)
    initialise(codec)
    mu, logvar = codec.moments(pictures(2, 5))
    assert (logvar == -6).all() and mu.std() > 0
    convs = [p for name, p in codec.named_parameters() if ".conv2." in name]
    assert len(convs) == 2 * 16 and not any(p.any() for p in convs)
    loss, _ = codec_loss(codec, pictures(2, 5))
    loss.backward()
    assert all(p.grad.abs().max() > 0 for p in convs)


@torch.no_grad()
def test_calibrated_latents_are_standard(small):
    codec = Codec(SMALL)
    codec.load_state_dict(small.state_dict())
    batches = [pictures(3, 5) * torch.rand(3, 1, 1, 1, 1), pictures(2, 9)]
    calibrate(codec, iter(batches))
    z = torch.cat([codec.encode(clip).transpose(0, 1).flatten(1) for clip in batches], dim=1)
    assert z.mean(1).abs().max() < 1e-4
    assert (z.std(1, correction=0) - 1).abs().max() < 1e-4
    clip = batches[0]
    vae = codec.to_diffusers()
    theirs = vae.decode(vae.encode(clip).latent_dist.mean).sample
    assert (codec(clip) - theirs).abs().max() < 1e-5, "normalisation cancels"
    with pytest.raises(ValueError, match="no clips came"):
        calibrate(codec, [])


def test_weights_of_a_coloured_square_are_known():
    clip = torch.full((1, 3, 2, 16, 16), -0.5)
    clip[:, 0, 1, 4:8, 4:8] = 0.5  # a red square of 16 pixels in frame 1; its edge reaches 2 pixels further
    raw = torch.ones(1, 1, 2, 16, 16)
    raw[:, :, 1, 2:10, 2:10] += 4
    raw[:, :, 1, 4:8, 4:8] += 4
    mean = (2 * 256 + 4 * 64 + 4 * 16) / (2 * 256)
    # 5 x 5 windows inside a 4 x 4 square always see the outside, so all of the square is edge
    assert torch.allclose(pixel_weights(clip, first=1.0), raw / mean)
    plain = torch.ones(1, 1, 2, 16, 16)
    plain[:, :, 1, 4:8, 4:8] = 5
    assert torch.allclose(pixel_weights(clip, edge=0.0, first=1.0), plain / plain.mean())
    assert torch.allclose(pixel_weights(clip, contrast=1.1, first=1.0), plain / plain.mean())
    plain[:, :, 0] = 3
    assert torch.allclose(pixel_weights(clip, edge=0.0, first=3.0), plain / plain.mean())


def test_weights_know_grey_objects_and_ignore_texture():
    clip = -0.4 + 0.04 * (2 * torch.rand(2, 1, 1, 32, 32) - 1).expand(2, 3, 1, 32, 32)
    assert torch.allclose(pixel_weights(clip), torch.ones(2, 1, 1, 32, 32))
    clip = clip.clone()
    clip[0, :, :, 8:16, 8:16] = 0.5  # white on grey: no colour, but far from the median
    w = pixel_weights(clip, edge=0.0)
    assert torch.allclose(w[0, 0, 0, 8:16, 8:16] / w[0, 0, 0, 0, 0], torch.tensor(5.0))
    assert abs(w.mean() - 1) < 1e-5


def test_loss_of_a_known_reconstruction():
    codec = Codec(SMALL)
    with torch.no_grad():
        for parameter in codec.parameters():
            parameter.zero_()
        codec.vae.quant_conv.bias[:3] = 2.0  # mu = 2, log-variance 0: kl = 4 / 2
        codec.vae.decoder.conv_out.bias[:] = 0.3
    loss, log = codec_loss(codec, torch.full((2, 3, 5, 16, 16), 0.1), kl_weight=0.5)
    assert torch.allclose(log["kl"], torch.tensor(2.0))
    assert torch.allclose(log["mse"], torch.tensor(0.04))
    assert torch.allclose(loss, torch.tensor(0.2 + 2 * 0.04 + 0.5 * 2))
    clip = torch.full((2, 3, 5, 16, 16), 0.1)
    clip[:, :, 0] = 0.3  # exact there: only the other four frames' distance counts, less as frame 0 weighs more
    known = {"edge": 0.0, "kl_weight": 0.0}
    assert torch.allclose(codec_loss(codec, clip, first=1.0, **known)[0], torch.tensor(0.28 * 4 / 5))
    assert torch.allclose(codec_loss(codec, clip, first=6.0, **known)[0], torch.tensor(0.28 * 4 / 10))


@pytest.mark.parametrize("shape", [(1, 3, 4, 16, 16), (1, 3, 5, 12, 16), (1, 3, 5, 16, 20), (1, 3, 0, 16, 16)])
def test_clips_that_do_not_fit(small, shape):
    with pytest.raises(ValueError, match=r"\(1, 3, .*does not fill whole latents: give .* 1 \+ 4k frames"):
        small.encode(torch.zeros(shape))


def test_without_shape_checks_the_sentences_do(as_user, small):
    for clip in (torch.zeros(3, 5, 16, 16), torch.zeros(1, 4, 5, 16, 16)):
        with pytest.raises(ValueError, match="does not fill whole latents"):
            small.encode(clip)
    with pytest.raises(ValueError, match="do not fit this codec"):
        small.decode(torch.zeros(3, 2, 2, 2))


def test_latents_that_do_not_fit(small):
    for call in (small.decode, small.decode_raw):
        with pytest.raises(ValueError, match=r"\(1, 4, 2, 2, 2\) do not fit this codec: give \(b, 3, f, h, w\)"):
            call(torch.zeros(1, 4, 2, 2, 2))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dim_mult": [1, 2, 4]}, "does not have stride 4 x 8 x 8"),
        ({"temperal_downsample": [True, True, True]}, "does not have stride 4 x 8 x 8"),
        ({"num_res_blocks": 0}, "at least 1 block"),
        ({"attn_scales": [0.25]}, "no attn_scales"),
        ({"is_residual": True, "patch_size": 2}, "no is_residual, patch_size"),
    ],
)
def test_configs_that_the_codec_leaves_out(change, words):
    with pytest.raises(ValueError, match=words):
        Codec({**SMALL, **change})


def test_an_empty_clip_has_no_weights():
    with pytest.raises(ValueError, match=r"clip has shape \(1, 3, 5, 8, 0\), which is empty"):
        pixel_weights(torch.zeros(1, 3, 5, 8, 0))
