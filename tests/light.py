"""What processes of the tests import first, so that importing the rest takes half the time.

While modules are imported, the garbage collector would look through them again and again and find nothing; it is
enabled when they are there. The grammars of rfc3987_syntax take two seconds to compile: jsonschema, which nbformat
brings, would check web addresses by them, and the format of notebooks has none. And files are not forced to the disk:
the tests kill processes, which lose nothing that was written, but never the machine.
"""

import gc
import os
import sys

gc.disable()
sys.modules.setdefault("rfc3987_syntax", None)
os.fsync = lambda fd: None
