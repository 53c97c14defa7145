"""Loss scaling in fp16: recognise when it cannot help any more.

fp16 represents numbers up to 65,504 only. The loss is multiplied by a scale, so that small gradients do not become
zero. An update whose gradient is not finite is skipped and halves the scale, which begins at 65,536; 2,000 updates in a
row without that double it (`torch.amp.GradScaler`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from asrkit.training.findings import FindingReporter

MIN_LOSS_SCALE = 1.0
"""Below this scale, the gradient of the loss itself overflows: from the first scale, after 17 skipped updates."""


def get_loss_scale(scaler: torch.amp.GradScaler | None) -> float | None:
    """Return the present scale; None without loss scaling. Waits for the GPU."""
    return float(scaler.get_scale()) if scaler is not None and scaler.is_enabled() else None


def report_overflow(scale: float, findings: FindingReporter) -> None:
    """Report a scale at which nearly every update is skipped."""
    if scale < MIN_LOSS_SCALE:
        findings.report(
            "fp16-overflow",
            "Nearly every update is skipped, because the gradient overflows in fp16 at any scale of the loss "
            f"({scale:g}): the model does not learn any more.",
            "Start again with mixed_precision bf16, or no on a GPU without it; a lower learning rate or warm-up helps "
            "where the loss had grown before.",
        )
