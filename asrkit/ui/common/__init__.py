"""Parts that several tabs share: components, theme, form, uploads."""
