"""Servers of Jupyter that tests start on a free local port."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

HANGS = 600
"""Seconds after which a server that does not answer is ended: only one that hangs ever takes as long."""


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def serving(words: list[str], port: int, log: Path, cwd: Path, **env: str) -> Iterator[None]:
    """Run a server of Jupyter within the block, which begins when the server listens.

    Args:
        words: its command.
        port: on which it will listen.
        log: file that gets what it says.
        cwd: where it runs.
        **env: variables beside those of this process.
    """
    with log.open("w") as file:
        server = subprocess.Popen(words, cwd=cwd, env=os.environ | env, stdout=file, stderr=file)
        try:
            latest = time.monotonic() + HANGS
            while not _listens(port):
                assert time.monotonic() < latest, f"the server hangs: see {log}"
                assert not _ends(server), f"the server ended: see {log}"
            yield
        finally:
            server.terminate()
            server.wait(HANGS)


def _listens(port: int) -> bool:
    with socket.socket() as ours:
        return ours.connect_ex(("127.0.0.1", port)) == 0


def _ends(server: subprocess.Popen) -> bool:
    """Whether a process ends within a tenth of a second."""
    try:
        server.wait(0.1)
    except subprocess.TimeoutExpired:
        return False
    return True
