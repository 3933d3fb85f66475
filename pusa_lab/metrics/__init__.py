"""Measures of videos, alone or against a known truth; totals, and confidence intervals.

Measures that answer the question of a dimension of VBench-I2V have its name. None of them needs a trained network.
"""

from pusa_lab.metrics.appearance import (
    background_consistency,
    foreground,
    i2v_background,
    i2v_subject,
    subject_consistency,
)
from pusa_lab.metrics.distances import frechet_distance
from pusa_lab.metrics.frames import check_clips, follow_errors, motion, psnr, ssim
from pusa_lab.metrics.intervals import Interval, bootstrap, bootstrap_of, resamples
from pusa_lab.metrics.quality import imaging_quality
from pusa_lab.metrics.skill import repeat_known, skill, skill_by_frame, stands_still
from pusa_lab.metrics.temporal import boundary_jump, dynamic_degree, flicker, motion_smoothness
from pusa_lab.metrics.truth import EQUAL, METRICS, frame_scores, needs_known
from pusa_lab.metrics.vbench import I2V, QUALITY, RANGES, totals

__all__ = [
    "EQUAL",
    "I2V",
    "METRICS",
    "QUALITY",
    "RANGES",
    "Interval",
    "background_consistency",
    "bootstrap",
    "bootstrap_of",
    "boundary_jump",
    "check_clips",
    "dynamic_degree",
    "flicker",
    "follow_errors",
    "foreground",
    "frame_scores",
    "frechet_distance",
    "i2v_background",
    "i2v_subject",
    "imaging_quality",
    "motion",
    "motion_smoothness",
    "needs_known",
    "psnr",
    "repeat_known",
    "resamples",
    "skill",
    "skill_by_frame",
    "ssim",
    "stands_still",
    "subject_consistency",
    "totals",
]
