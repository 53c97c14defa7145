"""The domain: audio, text, data sets and scores. Knows no page, no training loop and no run directory.

Nothing here imports torch, transformers or datasets until a function needs it, so the page is up at once.
"""
