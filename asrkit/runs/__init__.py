"""A run on disk and its life cycle. Nothing here imports torch."""
