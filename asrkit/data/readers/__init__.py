"""Readers: one module per family of dataset layouts, each from files to utterances."""
