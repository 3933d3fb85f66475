"""Processes that begin at once: forked from a server that has imported what takes seconds, and no tests."""

import gc
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from subprocess import CompletedProcess

NOWHERE = [Path(os.devnull)] * 2
SERVER = multiprocessing.get_context("forkserver")
PRELOAD = ["pusa_lab.finetune", "pusa_lab.wan.model", "pusa_lab.media", "pusa_lab.cli.parser", "peft"]
PRELOAD += ["papermill", "ipykernel.kernelapp"]
PRELOAD += ["torch._dynamo.backends.debugging", "torch._inductor.lowering"]  # for torch.compile
SERVER.set_forkserver_preload(["tests.light", *PRELOAD])


def start_server() -> str:
    """The address of the server, which need not be ready yet."""
    forkserver.ensure_running()
    return forkserver._forkserver._forkserver_address


def use_server(address: str | None = None) -> None:
    """Fork from that server, or from the one that this process comes from, instead of one of its own."""
    own = forkserver._forkserver
    if address:
        own._forkserver_address, own._forkserver_alive_fd = address, os.open(os.devnull, os.O_RDONLY)
    own.ensure_running = resource_tracker.ensure_running


def python(code: str, *words: object, cwd: Path | None = None, env: Mapping[str, str] | None = None):
    """As `python -c code words` would end, without the seconds of its imports.

    Args:
        code: what to run.
        *words: sys.argv[1:].
        cwd: where; None is here.
        env: its variables; None are those of this process.
    """
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder) / name for name in ("stdout", "stderr")]
        given = (code, [*map(str, words)], cwd or Path.cwd(), dict(os.environ if env is None else env), said)
        child = SERVER.Process(target=_run, args=given)
        child.start()
        child.join()
        return CompletedProcess(words, child.exitcode, *(path.read_text() for path in said))


class Kernel:
    """A notebook's kernel as `python -m ipykernel_launcher` would start it, without the seconds of its imports.

    To jupyter_client it is a subprocess.Popen: it leads a process group of its own, which is killed with it.
    """

    stdin = stdout = stderr = None

    def __init__(self, command: list[str], env: Mapping[str, str], cwd: str | None = None, **_: object):
        alone, started = SERVER.Pipe(duplex=False)
        given = (started, command[command.index("-f") :], Path(cwd or Path.cwd()), dict(env))
        self.child = SERVER.Process(target=_kernel, args=given)
        self.child.start()
        started.close()
        with alone:
            alone.recv()
        self.pid = self.child.pid

    def poll(self) -> int | None:
        return self.child.exitcode

    def wait(self) -> int | None:
        self.child.join()
        return self.child.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.child.kill()


def _kernel(started: Connection, words: list[str], cwd: Path, env: dict[str, str]) -> None:
    os.setsid()
    started.send(True)
    started.close()
    code = """
import matplotlib
matplotlib.rcParams["backend"] = "module://matplotlib_inline.backend_inline"  # which it chose when it was imported
from IPython.core import pylabtools
from ipykernel.kernelapp import launch_new_instance
# Pictures are laid out and drawn, and thrown away: a file of each would take a second drawing.
pylabtools.print_figure = lambda figure, **options: figure.canvas.draw()
launch_new_instance()
"""
    _run(code, words, cwd, env, NOWHERE)


def _run(code: str, words: list[str], cwd: Path, env: dict[str, str], said: list[Path]) -> None:
    use_server()
    gc.freeze()  # what the server imported stays
    gc.set_threshold(10_000)  # as in tests/conftest.py
    gc.enable()
    for number, path in enumerate(said, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv[:] = ["-c", *words]
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
