"""Shared by all tests. Shapes are enforced in the whole run (see addopts in pyproject.toml).

Tests compare bit for bit, so they run on the CPU also where there is a GPU.
"""

import os

os.environ["CUDA_VISIBLE_DEVICES"] = ""

import jaxtyping
import pytest
import torch

import small_models


@pytest.fixture(autouse=True)
def seed():
    """Every test starts from the same random numbers."""
    torch.manual_seed(0)


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
