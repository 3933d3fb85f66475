"""Shared by all tests. Shapes are enforced in the functions of the core (see addopts in pyproject.toml).

Tests compare bit for bit, so they run on the CPU also where there is a GPU.
"""

import os
import shutil

os.environ["CUDA_VISIBLE_DEVICES"] = ""

import jaxtyping
import pytest
import torch
from hypothesis import HealthCheck, settings

import small_models

settings.register_profile("as slow as it may be", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("as slow as it may be")


@pytest.fixture(autouse=True)
def seed():
    """Every test starts from the same random numbers."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def same_environment():
    """What a test sets, such as Lightning's LOCAL_RANK in a training here, does not reach the processes of others."""
    before = dict(os.environ)
    yield
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture
def as_user():
    """Shape checks off, as for users who did not turn them on: the library's own sentences must do."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def nano_vta():
    """The shipped toy, adapted."""
    return small_models.load("nano-vta", device="cpu")


@pytest.fixture(scope="session")
def nano_base():
    """The shipped toy, scalar."""
    return small_models.load("nano-base", device="cpu")


@pytest.fixture(scope="module")
def one_thread():
    """Small tensors: more threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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
