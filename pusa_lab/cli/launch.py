"""Several processes of one command: those that torchrun started, or that the command starts on its own host."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import distributed as dist
from torch.distributed.rendezvous import rendezvous

from pusa_lab.data.shared_work import OtherProcessError, SharedWork, join_work
from pusa_lab.progress import SWITCH
from pusa_lab.sentences import counted


def processes(option: str, devices: int, command: str) -> tuple[int, int]:
    """GPUs of each host, and hosts: as torchrun started this process, else all on this host.

    Args:
        option: that asks for them, as it is typed.
        devices: asked for, on all hosts together.
        command: after `pusa-lab`.

    Raises:
        ValueError: there are fewer GPUs, or torchrun started another number of processes.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        each, world = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
        if devices not in (1, world):
            started = counted(world, "process")
            raise ValueError(f"{option} {devices}, but torchrun started {started}: leave out {option}.")
        return each, world // each
    if devices < 1:
        raise ValueError(f"{option} {devices}: give a whole number of at least 1.")
    if torch.cuda.is_available() and devices > torch.cuda.device_count():
        raise ValueError(
            f"{option} {devices}, but this host has {counted(torch.cuda.device_count(), 'GPU')}: give no more, or "
            f"start `torchrun --nnodes HOSTS --nproc-per-node GPUS -m -- pusa_lab {command} ...` on each of several "
            "hosts."
        )
    return devices, 1


@contextmanager
def shared_work(count: int, check: Callable[[], Any], share: Callable[..., Any], *args: Any) -> Iterator[SharedWork]:
    """The work of a command's processes; those that torchrun did not start are started, and ended with the block.

    Args:
        count: number of processes, on all hosts together.
        check: called by the first process, before the others begin; refuses what cannot be done.
        share: what the others call, and the block too where it is one of them: (work, *args).
        *args: of `share`.

    Raises:
        ValueError: the check refuses, or another process fails.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ and count > 1:
        with _started_by_torchrun(count, check) as work:
            yield work
        return
    check()
    if count == 1:
        yield SharedWork()
        return
    store, threads = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False), torch.get_num_threads()
    context = multiprocessing.get_context("forkserver")
    how = (store.port, count, max(1, threads // count), {**os.environ, SWITCH: "0"}, share, args)
    children = [context.Process(target=_begin, args=(rank, *how), daemon=True) for rank in range(1, count)]

    def watch() -> None:
        for child in children:
            if child.exitcode:
                raise OtherProcessError(
                    f"one of {count} processes ended early (exit status {child.exitcode}): run the same command again, "
                    "perhaps with fewer of them."
                )

    try:
        for child in children:
            child.start()
        torch.set_num_threads(max(1, threads // count))
        yield SharedWork(store, 0, count, watch)
    finally:
        torch.set_num_threads(threads)
        for child in children:
            if child.pid is not None:
                child.terminate()
                child.join()


@contextmanager
def _started_by_torchrun(count: int, check: Callable[[], Any]) -> Iterator[SharedWork]:
    store, rank, _ = next(iter(rendezvous("env://")))
    work = SharedWork(dist.PrefixStore("shared work", store), rank, count)
    _take_gpu(int(os.environ["LOCAL_RANK"]))
    try:
        with work.together():
            if rank:
                os.environ[SWITCH] = "0"  # one bar is enough
                work.wait("checked")
            else:
                check()
                work.tell("checked", True)
            yield work
            work.finish()
    except (OtherProcessError, dist.DistError) as error:
        if rank:  # the process that failed says why
            raise SystemExit(2) from error
        raise
    finally:
        work.leave()


def _begin(
    rank: int,
    port: int,
    count: int,
    threads: int,
    environment: Mapping[str, str],
    share: Callable[..., Any],
    args: tuple[Any, ...],
) -> None:
    """What a process that the command started does; if it fails, the first one says why."""
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(threads)
    _take_gpu(rank)
    try:
        work = join_work("127.0.0.1", port, rank, count)
        with work.together():
            share(work, *args)
    except (KeyboardInterrupt, ValueError, OSError, dist.DistError):
        sys.exit(1)


def _take_gpu(number: int) -> None:
    """Give this process a GPU of its own, where there are any."""
    if torch.cuda.is_available():
        torch.cuda.set_device(number)
