"""RunView -> a PNG of its curves, for the model card. Drawn with Pillow, so that no browser is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from asrkit.runs.curves import Point
from asrkit.runs.view import RunView

SIZE, SCALE = (920, 330), 2
PAPER, INK, GRID = "#ffffff", "#475569", "#e2e8f0"
LOSS = {"train/loss": ("Training", "#94a3b8"), "eval/loss": ("Evaluation", "#0f766e")}
RATES = {"eval/wer": ("WER", "#b45309"), "eval/cer": ("CER", "#2563eb")}


def draw_curves(run_view: RunView, path: Path) -> bool:
    """Draw the loss and the error rates over steps, side by side. Return False if there are none yet."""
    if not any(_finite_points(run_view.series.get(name, [])) for name in (*LOSS, *RATES)):
        return False
    picture = Image.new("RGB", (SIZE[0] * SCALE, SIZE[1] * SCALE), PAPER)
    canvas = ImageDraw.Draw(picture)
    half = SIZE[0] // 2
    _panel(canvas, run_view, "Loss", LOSS, 0, half, "{:.3g}".format)
    _panel(canvas, run_view, "Error rates", RATES, half, SIZE[0], "{:.0%}".format)
    picture.save(path, format="PNG", optimize=True)
    return True


def _finite_points(points: Sequence[Point]) -> list[tuple[float, float]]:
    return [(point.step, point.value) for point in points if point.value is not None]


def _panel(
    canvas: ImageDraw.ImageDraw,
    run_view: RunView,
    title: str,
    curves: dict[str, tuple[str, str]],
    left: int,
    right: int,
    format: Callable[[float], str],
) -> None:
    lines = {name: _finite_points(run_view.series.get(name, [])) for name in curves}
    steps = max((x for line in lines.values() for x, _ in line), default=1) or 1
    top = max((y for line in lines.values() for _, y in line), default=1.0) or 1.0
    box = (left + 56, 48, right - 16, SIZE[1] - 40)

    def to_pixels(x: float, y: float) -> tuple[float, float]:
        return ((box[0] + (box[2] - box[0]) * x / steps) * SCALE, (box[3] - (box[3] - box[1]) * y / top) * SCALE)

    small = ImageFont.load_default(12 * SCALE)
    for share in (0, 0.25, 0.5, 0.75, 1):
        at = to_pixels(0, share * top)
        canvas.line([at, to_pixels(steps, share * top)], fill=GRID, width=SCALE)
        canvas.text((at[0] - 8 * SCALE, at[1]), format(share * top), fill=INK, font=small, anchor="rm")
    for share in (0, 0.5, 1):
        at = to_pixels(share * steps, 0)
        canvas.text((at[0], at[1] + 8 * SCALE), f"{share * steps:,.0f}", fill=INK, font=small, anchor="mt")
    canvas.text(((box[0] + box[2]) / 2 * SCALE, (SIZE[1] - 14) * SCALE), "step", fill=INK, font=small, anchor="mm")
    pen = box[0]
    canvas.text((pen * SCALE, 20 * SCALE), title, fill=INK, font=ImageFont.load_default(15 * SCALE), anchor="lm")
    pen += 110
    for name, (label, tint) in curves.items():
        canvas.line([(pen * SCALE, 20 * SCALE), ((pen + 18) * SCALE, 20 * SCALE)], fill=tint, width=3 * SCALE)
        canvas.text(((pen + 24) * SCALE, 20 * SCALE), label, fill=INK, font=small, anchor="lm")
        pen += 110
        line = [to_pixels(*point) for point in lines[name]]
        if len(line) > 1:
            canvas.line(line, fill=tint, width=2 * SCALE, joint="curve")
        if name.startswith("eval"):
            for x, y in line:
                canvas.ellipse((x - 3 * SCALE, y - 3 * SCALE, x + 3 * SCALE, y + 3 * SCALE), fill=tint)
