"""pytest tests/test_half_precision.py: on a GPU without bfloat16, such as a T4, nothing picks it."""

import pytest
import torch

from pusa_lab.training import loop
from pusa_lab.training.config import TrainConfig
from pusa_lab.training.module import TrainedModule
from pusa_lab.types import computes_in_bfloat16
from pusa_lab.wan import model as wan_model

T4, A100 = (7, 5), (8, 0)


@pytest.fixture
def gpu(monkeypatch):
    """Gives this machine a GPU of some compute capability, in name."""

    def fake(capability):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)

    return fake


@pytest.mark.parametrize(
    ("capability", "native"), [((6, 1), False), (T4, False), (A100, True), ((8, 9), True), ((12, 0), True)]
)
def test_the_capability_says_it(gpu, capability, native):
    gpu(capability)
    assert computes_in_bfloat16("cuda") is computes_in_bfloat16(torch.device("cuda", 0)) is native
    assert computes_in_bfloat16("cpu")


@pytest.mark.parametrize(("capability", "found"), [(T4, "32-true"), (A100, "bf16-mixed")])
def test_training(gpu, capability, found):
    assert loop.precision(TrainConfig()) == "32-true"
    gpu(capability)
    assert loop.precision(TrainConfig()) == loop.precision(TrainConfig(), "gpu") == found
    assert loop.precision(TrainConfig(), "cpu") == "32-true"
    assert loop.precision(TrainConfig(precision="bf16-mixed")) == "bf16-mixed", "what is asked for is done"


def test_a_run_takes_it(monkeypatch):
    monkeypatch.setattr(loop, "precision", lambda config, accelerator: "64-true")
    module = TrainedModule(torch.nn.Linear(2, 2), TrainConfig(ema=0.0))
    assert loop._trainer(module, None, None, "cpu", (), None, 1, 1).precision == "64-true"


@pytest.mark.parametrize(("capability", "found"), [(T4, torch.float16), (A100, torch.bfloat16)])
def test_wan(gpu, capability, found, whole, monkeypatch):
    class Seen(Exception):
        pass

    def look(folder, dtype, device, offload, *_):
        raise Seen(dtype, device.type)

    gpu(capability)
    monkeypatch.setattr(wan_model, "require_room", look)
    for device, want in ((None, (found, "cuda")), ("cpu", (torch.bfloat16, "cpu"))):
        with pytest.raises(Seen) as seen:
            wan_model.WanModel.from_pretrained(whole, device=device, size=(32, 32), num_frames=5)
        assert seen.value.args == want
