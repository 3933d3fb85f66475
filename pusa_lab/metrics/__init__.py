"""Measures of videos, and of videos against a known truth."""

from pusa_lab.metrics.frames import motion, psnr

__all__ = ["motion", "psnr"]
