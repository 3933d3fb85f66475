"""What processes of the tests import first, so that importing the rest takes half the time.

While modules are imported, the garbage collector would look through them again and again and find nothing; it is
enabled when they are there. The grammars of rfc3987_syntax take two seconds to compile: jsonschema, which nbformat
brings, would check web addresses by them, and the format of notebooks has none. torchmetrics imports scipy.signal for a
name that an old package may miss there. torch looks through all modules for the line that registers an operator.
torch.compile splits whole files into tokens to name functions in messages that nobody reads, and collects garbage after
every graph. And files are not forced to the disk: the tests kill processes, which lose nothing that was written, but
never the machine.
"""

import gc
import inspect
import os
import sys
import types

gc.disable()
sys.modules.setdefault("rfc3987_syntax", None)
os.environ["TORCH_DYNAMO_RUN_GC_AFTER_COMPILE"] = "0"
os.fsync = lambda fd: None
_frame_info = inspect.getframeinfo


def _stands_in(name, **members):
    vars(sys.modules.setdefault(name, types.ModuleType(name))).update(members)


_stands_in("scipy.signal", hamming=None)
_stands_in("torch._dynamo.funcname_cache", get_funcname=lambda filename, lineno: None)


def _without_its_text(frame, context=1):
    asks = sys._getframe(1).f_globals.get("__name__")
    return _frame_info(frame, 0 if asks == "torch._library.utils" else context)


inspect.getframeinfo = _without_its_text
