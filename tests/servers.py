"""Servers of Jupyter that tests start on a free local port."""

import contextlib
import os
import queue
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

HANGS = 600
"""Seconds after which a server that says nothing is ended: only one that hangs ever takes as long."""


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def serving(words: list[str], log: Path, cwd: Path, **env: str) -> Iterator[None]:
    """Run a server of Jupyter within the block, which begins when the server has said that it is running.

    Args:
        words: its command.
        log: file that gets what it says.
        cwd: where it runs.
        **env: variables beside those of this process.
    """
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    server, begun = subprocess.Popen(words, cwd=cwd, env=os.environ | env, **pipes), queue.Queue()
    reader = threading.Thread(target=_keep, args=(server.stdout, log, begun))
    reader.start()
    try:
        assert begun.get(timeout=HANGS), f"the server ended: see {log}"
        yield
    finally:
        server.terminate()
        server.wait(HANGS)
        reader.join()


def _keep(said, log, begun):
    """Write the lines of a server to its log, and tell whether it runs, or ended before."""
    with said, log.open("w", buffering=1) as file:
        for line in said:
            file.write(line)
            if "is running at" in line:
                begun.put(True)
    begun.put(False)
