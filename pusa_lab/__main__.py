"""`python -m pusa_lab` is `pusa-lab`."""

import sys

from pusa_lab.cli import main

sys.exit(main())
