"""The look of the page: one accent colour, the fonts of the system, light and dark."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

STYLE = Path(__file__).parent / "style.css"
SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Ubuntu", "Cantarell", "Noto Sans", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")

SUBDUED = "#57667c"
"""Of quiet text in the light: between slate 500, which is too pale on a tinted ground, and slate 600."""


def theme() -> gr.themes.Base:
    """Return the theme. Fonts are names of installed ones only: a Google font would be a request to the outside."""
    hues = gr.themes.colors
    base_theme = gr.themes.Base(
        primary_hue=hues.teal,
        secondary_hue=hues.teal,
        neutral_hue=hues.slate,
        font=SANS,
        font_mono=MONO,
        radius_size=gr.themes.sizes.radius_lg,
    )
    return base_theme.set(
        body_text_color_subdued=SUBDUED,
        body_text_color_subdued_dark="*neutral_400",
        body_background_fill="*neutral_50",
        body_background_fill_dark="#0f1519",
        background_fill_primary_dark="#161e24",
        background_fill_secondary_dark="#12191e",
        block_background_fill="white",
        block_background_fill_dark="#161e24",
        block_border_width="1px",
        block_border_color="*neutral_200",
        block_border_color_dark="#27323a",
        border_color_primary_dark="#27323a",
        block_label_text_weight="600",
        block_title_text_weight="600",
        block_info_text_color=SUBDUED,
        block_info_text_color_dark="*neutral_400",
        input_background_fill="white",
        input_background_fill_dark="#0f1519",
        input_border_width="1px",
        input_border_color="*neutral_300",
        input_border_color_dark="#33414b",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_800",
        button_primary_text_color="white",
        button_primary_text_color_dark="white",
    )
