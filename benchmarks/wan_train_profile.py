"""Where a step's time goes, by kind of kernel."""

from collections import Counter
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from wan_train_step import Step, synchronise

BLOCKS, LONGEST = 4, 12
ATTENTION = ("sdpa", "fmha", "flash", "attention", "dot_do_o", "convert_dq")
BACKWARD = ("bprop", "bwd", "backward", "cutlassb", "dot_do_o", "convert_dq")
PRODUCTS = ("gemm", "nvjet", "cutlass", "cublas", "splitk", "triton_tem", "::mm", "addmm", "bmm", "scaled_mm")
MARKS = ("##", "optimizer.", "profilerstep", "torch-compiled region")
"""Beginnings of names that span kernels, and would count them twice."""


def kind(kernel: str) -> str:
    """Attention first, because its kernels too are built of matrix products."""
    name = kernel.lower()
    if name.startswith("triton_") and not name.startswith("triton_tem"):
        return "everything else"  # named after what is fused into it, and no product is
    if any(word in name for word in ATTENTION):
        return "attention backward" if any(word in name for word in BACKWARD) else "attention forward"
    return "matrix products" if any(word in name for word in PRODUCTS) else "everything else"


def profiled(step: Step) -> dict[str, Any]:
    """Seconds of one more step of the last four blocks, by kind, and the longest kernels, to check the sorting."""
    gpu = torch.cuda.is_available()
    blocks = step.model.blocks[-BLOCKS:]
    activities = [ProfilerActivity.CUDA if gpu else ProfilerActivity.CPU]
    with step.only(blocks):
        step()  # the first of these blocks may compile to another graph than in the whole model
        with profile(activities=activities) as trace:
            step()
            synchronise()
    spent: Counter[str] = Counter()
    for event in trace.key_averages():
        if not event.key.lower().startswith(MARKS) and str(event.device_type).endswith("CUDA" if gpu else "CPU"):
            spent[event.key] += (event.self_device_time_total if gpu else event.self_cpu_time_total) / 1e6
    kinds: Counter[str] = Counter()
    for name, seconds in spent.items():
        kinds[kind(name)] += seconds
    total = sum(spent.values())
    longest = [
        {"kernel": name[:160], "kind": kind(name), "share": round(seconds / total, 4)}
        for name, seconds in spent.most_common(LONGEST)
    ]
    return {"blocks": len(blocks), "seconds": {k: round(s, 4) for k, s in kinds.most_common()}, "longest": longest}
