"""What processes of the tests import first, so that importing the rest takes half the time.

While modules are imported, the garbage collector would look through them again and again and find nothing; it is
enabled when they are there. The grammars of rfc3987_syntax take two seconds to compile: jsonschema, which nbformat
brings, would check web addresses by them, and the format of notebooks has none. torchmetrics imports scipy.signal for a
name that an old package may miss there. torch looks through all modules for the line that registers an operator. And
files are not forced to the disk: the tests kill processes, which lose nothing that was written, but never the machine.
"""

import gc
import inspect
import os
import sys
import types

gc.disable()
sys.modules.setdefault("rfc3987_syntax", None)
sys.modules.setdefault("scipy.signal", types.ModuleType("scipy.signal")).hamming = None
os.fsync = lambda fd: None
_frame_info = inspect.getframeinfo


def _without_its_text(frame, context=1):
    asks = sys._getframe(1).f_globals.get("__name__")
    return _frame_info(frame, 0 if asks == "torch._library.utils" else context)


inspect.getframeinfo = _without_its_text
