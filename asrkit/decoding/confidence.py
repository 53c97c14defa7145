"""Calibration of confidences: each decoder fits a logistic function to a score of its words."""

from __future__ import annotations

import math


def logistic(intercept: float, slope: float, score: float) -> float:
    """Return 1 / (1 + exp(-(intercept + slope * score)))."""
    return 1 / (1 + math.exp(-max(-700.0, intercept + slope * score)))
