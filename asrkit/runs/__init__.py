"""A run on disk and its life. Nothing here imports torch."""
