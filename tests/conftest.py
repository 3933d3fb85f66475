"""Shared by all tests. Shapes are enforced in the functions of the core (see addopts in pyproject.toml).

Tests compare bit for bit, so they run on the CPU also where there is a GPU.
"""

import functools
import gc
import logging
import os
import re
import shutil
import sys

os.environ["CUDA_VISIBLE_DEVICES"] = ""

import light  # noqa: F401
import pytest
from _pytest.mark.expression import Expression

# Processes that start from here, pytest's workers too, keep the memory of large tensors and use it again: glibc would
# ask the system for new pages each time, and clearing them takes as long as decoding a video.
os.environ |= {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**30), "MALLOC_TOP_PAD_": str(2**26)}
# The many processes of the tests compile each module once.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
SMALL = {"num_layers": 2, "num_attention_heads": 2, "attention_head_dim": 16, "ffn_dim": 64}
"""Sizes of a toy's transformer, a tenth of nano's."""
SMALL_CODEC = {"base_dim": 4, "dim_mult": [1, 1, 2, 2]}
LONGEST = ("test_nbval", "test_training_wan_processes", "test_docs", "test_own_clips_docs", "test_wheel")
OF_ONE_MARK = re.compile(r"^pytestmark = pytest\.mark\.(artefact|browser)$", re.M)


def pytest_ignore_collect(collection_path, config):
    """Files of which -m leaves out every test are not imported, nor is what the browser tests share."""
    if collection_path.suffix == ".py":
        found = OF_ONE_MARK.search(collection_path.read_text(encoding="utf-8"))
        mark = found and found[1]
    else:
        mark = "browser" if collection_path.name == "browser" else None
    wanted = mark is None or Expression.compile(config.option.markexpr).evaluate(lambda name, **_: name == mark)
    return None if wanted else True


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """Called where tests are handed out: what all workers start is forked from one server."""
    from processes import start_server

    node.workerinput["server"] = start_server()


def pytest_configure(config):
    if address := getattr(config, "workerinput", {}).get("server"):
        from processes import use_server

        use_server(address)


def pytest_collection():
    """Called where tests run; the process that only hands them out to workers does without hypothesis and torch."""
    from hypothesis import HealthCheck, settings

    settings.register_profile("as slow as it may be", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("as slow as it may be")


def pytest_collectstart(collector):
    """What a file draws when it is imported is the same whichever others were imported before it."""
    if isinstance(collector, pytest.Module):
        import torch

        torch.default_generator.manual_seed(torch.default_generator.initial_seed())


def pytest_collection_modifyitems(items):
    """The longest tests first, so that no worker is left with one when the other has nothing to steal.

    Those that guard the system last: from then on Python calls the guard for whatever it opens or compiles.
    """
    items.sort(key=lambda item: (item.path.stem not in LONGEST, item.path.stem == "test_fuzz"))


def pytest_collection_finish():
    """What is imported stays: the garbage collector, which some tests call, need not look at it again.

    From here on it runs less often than by default, since tests leave few cycles behind.
    """
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()


@pytest.fixture(autouse=True)
def seed():
    """Every test starts from the same random numbers; torch.manual_seed would note a traceback for each accelerator."""
    import torch

    torch.default_generator.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def parsers_once():
    """The parser of a command is made once; it keeps nothing of the lines that it reads."""
    from pusa_lab.cli import parser

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parser, "make_parser", functools.cache(parser.make_parser))
        yield


@pytest.fixture
def logged():
    """The messages logged while a test runs; pytest's own capture of them costs every test 2 ms, and is off."""
    messages, handler = [], logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logging.getLogger().addHandler(handler)
    yield messages
    logging.getLogger().removeHandler(handler)


@pytest.fixture(autouse=True)
def same_environment():
    """What a test sets, such as Lightning's LOCAL_RANK or the folder of a file that it imports, reaches no other."""
    before, path = dict(os.environ), list(sys.path)
    yield
    sys.path[:] = path
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture
def forked_kernels(monkeypatch):
    """Notebooks run here in kernels that begin at once; tests/test_wheel.py starts one as everybody does."""
    from processes import Kernel

    monkeypatch.setattr("jupyter_client.provisioning.local_provisioner.launch_kernel", Kernel)


@pytest.fixture
def as_user():
    """Shape checks off, as for users who did not turn them on: the library's own sentences must do."""
    import jaxtyping

    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def nano_vta():
    """The shipped toy, adapted."""
    import small_models

    return small_models.load("nano-vta", device="cpu")


@pytest.fixture(scope="session")
def nano_base():
    """The shipped toy, scalar."""
    import small_models

    return small_models.load("nano-base", device="cpu")


@pytest.fixture(scope="session")
def _kept():
    from small_models.models import zoo

    return functools.cache(zoo.load)


@pytest.fixture
def read_once(_kept, monkeypatch):
    """Commands get a toy that was read before: for tests of what they make of their options, not of a model's file."""
    monkeypatch.setattr("small_models.models.zoo.load", _kept)


@pytest.fixture(scope="session")
def small_nano_file(tmp_path_factory):
    """A checkpoint of random weights, of nano's geometry and a tenth of its cost: for what holds for any toy."""
    import torch

    import small_models
    from small_models.models import zoo

    preset = {**small_models.PRESETS["nano"], "dit": small_models.PRESETS["nano"]["dit"] | SMALL}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = small_models.ToyModel(preset)
        torch.nn.init.normal_(model.dit.proj_out.weight, std=0.1)
    path = tmp_path_factory.mktemp("small") / "small-nano.safetensors"
    zoo.save(model, path, {})
    return path


@pytest.fixture(scope="session")
def small_nano(small_nano_file):
    """The same, loaded."""
    import small_models

    return small_models.load(small_nano_file, device="cpu")


@pytest.fixture(scope="module")
def toy(small_nano_file):
    """The same, in which frames see enough of each other to show with which mask."""
    import torch

    import small_models

    toy = small_models.load(small_nano_file, device="cpu")
    with torch.no_grad():
        for block in toy.dit.blocks:
            block.attn1.to_v.weight *= 4
    return toy


@pytest.fixture(scope="session")
def small_toys_shipped(tmp_path_factory):
    """A folder of toys with the names and geometries of the shipped ones, random weights and a tenth of their cost."""
    import torch

    import small_models

    place = tmp_path_factory.mktemp("shipped")
    torch.manual_seed(0)
    codec = small_models.Codec(small_models.CODECS["mini"] | SMALL_CODEC)
    small_models.save(codec, place / "mini-codec.safetensors", {})
    for name, latents in (("nano", {}), ("mini", {"codec": place / "mini-codec.safetensors"})):
        preset = small_models.PRESETS[name] | {"dit": small_models.PRESETS[name]["dit"] | SMALL}
        model = small_models.ToyModel(preset, codec if latents else None)
        torch.nn.init.normal_(model.dit.proj_out.weight, std=0.1)
        for stage in ("base", "vta"):
            small_models.save(model, place / f"{name}-{stage}.safetensors", {}, **latents)
    return place


@pytest.fixture(scope="module")
def small_toys():
    """The toys that are trained here are small, where it does not matter how good they get."""
    import small_models

    with pytest.MonkeyPatch.context() as patch:
        for preset in small_models.PRESETS.values():
            patch.setitem(preset, "dit", preset["dit"] | SMALL)
        yield


@pytest.fixture
def small_codec(monkeypatch):
    """The codec that is trained here is small too, and so are its clips: of 9 frames instead of 33."""
    import small_models

    monkeypatch.setitem(small_models.CODECS, "mini", small_models.CODECS["mini"] | SMALL_CODEC)
    mini = small_models.PRESETS["mini"]
    monkeypatch.setitem(mini, "geometry", mini["geometry"] | {"frames": 3})


@pytest.fixture(scope="module")
def one_thread():
    """Small tensors: more threads would only wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def measured_in_two_steps(monkeypatch):
    """A trained toy is measured in two steps instead of ten, where it does not matter how good it is."""
    from small_models.training import train

    monkeypatch.setattr(train, "measure", functools.partial(train.measure, steps=2))
    monkeypatch.setattr(train, "measure_clips", functools.partial(train.measure_clips, steps=2))


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A folder with all of a tiny Wan, in the published layout."""
    from wan_tiny import pipeline  # brings diffusers, which most tests do without

    place = tmp_path_factory.mktemp("wan") / "wan"
    pipeline().save_pretrained(place)
    return place


@pytest.fixture
def folder(whole, tmp_path):
    """A copy of it that a test may spoil."""
    shutil.copytree(whole, tmp_path / "wan")
    return tmp_path / "wan"


@pytest.fixture
def fake_fa4():
    """A stand-in for FlashAttention 4 that runs on the CPU; the calls that it gets."""
    from fake_fa4 import stand_in

    with stand_in() as calls:
        yield calls
