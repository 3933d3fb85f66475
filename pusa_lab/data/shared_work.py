"""Work of one run that several processes share: numbered pieces, each of which one of them does."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from torch import distributed as dist

from pusa_lab.arguments import checked

PAUSE = 0.02
"""Seconds between two looks at what the others have done."""
GRACE = 5.0
"""Seconds that the first process waits, after a failure, for the others to hear of it."""


class OtherProcessError(ValueError):
    """Another process of the run has failed."""


@checked
class SharedWork:
    """Numbered pieces of work that the processes of a run take from one heap, and what became of each.

    The first process, of rank 0, tells the others what there is to do. Each takes the next piece whenever it is free,
    so that a slow one takes fewer. If one fails, the others end too.

    Args:
        store: of torch.distributed, which all of them reach; None is for one process alone.
        rank: of this process.
        count: number of processes.
        watch: called while this one waits; raises an `OtherProcessError` if another has ended without a word.
    """

    def __init__(
        self, store: Any = None, rank: int = 0, count: int = 1, watch: Callable[[], None] = lambda: None
    ) -> None:
        if not 0 <= rank < count or (store is None) != (count == 1):
            raise ValueError(f"rank={rank}, count={count}: give 0 to count - 1, and a store where there are several.")
        self.store, self.rank, self.count = store or dist.HashStore(), rank, count
        self.watch = watch

    def tell(self, name: str, value: Any) -> None:
        """Tell the other processes something.

        Args:
            name: under which they ask for it.
            value: as JSON has it.
        """
        self.store.set(name, json.dumps(value))

    def heard(self, name: str) -> Any:
        """What a process told, or None if it has not yet.

        Args:
            name: of it.

        Raises:
            OtherProcessError: another process has failed.
        """
        if self.store.check(["failed"]):
            raise OtherProcessError(json.loads(self.store.get("failed")))
        return json.loads(self.store.get(name)) if self.store.check([name]) else None

    def wait(self, name: str) -> Any:
        """What a process tells, as soon as it does.

        Args:
            name: of it.

        Raises:
            OtherProcessError: another process has failed.
        """
        while (found := self.heard(name)) is None:
            self.watch()
            time.sleep(PAUSE)
        return found

    def take(self, total: int) -> Iterator[int]:
        """Numbers of the pieces that this process is to do, each when it asks for it.

        Args:
            total: number of pieces, of all processes together.
        """
        while (number := self.store.add("taken", 1) - 1) < total:
            yield number

    def finish(self) -> None:
        """End the work of this process; the first one waits for the others, which need the store until their end."""
        if self.rank:
            self.tell(f"end of {self.rank}", True)
            return
        for rank in range(1, self.count):
            self.wait(f"end of {rank}")

    def leave(self) -> None:
        """End the work of this process, whether it is done or not; the first one waits until the others have heard."""
        ends, until = [f"end of {rank}" for rank in range(1, self.count)], time.monotonic() + GRACE
        with suppress(dist.DistError):  # the process that has the store is gone
            if self.rank:
                self.tell(f"end of {self.rank}", True)
            while not self.rank and not self.store.check(ends) and time.monotonic() < until:
                time.sleep(PAUSE)

    @contextmanager
    def together(self) -> Iterator[None]:
        """A block that, if it fails, ends the other processes too, with its sentence."""
        try:
            yield
        except OtherProcessError:
            raise
        except BaseException as error:
            with suppress(dist.DistError):  # the process that has the store is gone
                self.tell("failed", str(error) or type(error).__name__)
            raise


@checked
def join_work(address: str, port: int, rank: int, count: int) -> SharedWork:
    """The work of a run whose first process has its store at an address.

    Args:
        address: of its host.
        port: of the store.
        rank: of this process, at least 1.
        count: number of processes.
    """
    return SharedWork(dist.TCPStore(address, port, timeout=timedelta(minutes=5)), rank, count)
