"""Hush Lightning, for the commands."""

import contextlib
import logging
import warnings
from collections.abc import Iterator

import lightning.pytorch  # noqa: F401, sets the level of its logger, so it comes first


@contextlib.contextmanager
def quiet_lightning() -> Iterator[None]:
    """Context manager in which Lightning prints errors only: no hardware, tips or advice."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning.*")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)
