"""What the text of a call may name: `from tests.fuzz.objects import *` makes every printed call run."""

from .basics import *  # noqa: F403
from .kept import *  # noqa: F403
from .models import *  # noqa: F403
