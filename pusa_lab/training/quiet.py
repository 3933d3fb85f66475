"""Hush Lightning, for the commands."""

import contextlib
import logging
import warnings
from collections.abc import Iterator

import lightning.pytorch  # noqa: F401, sets the level of its logger, so it comes first


@contextlib.contextmanager
def quiet_lightning() -> Iterator[None]:
    """Context manager in which Lightning prints errors only: no hardware, tips or advice."""
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning.*")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(before)
