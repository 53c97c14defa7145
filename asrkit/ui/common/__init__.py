"""What several tabs share: components, theme, form, visitors."""
