"""Text: named normalisers, numbers in words, and word, character and mixed error rates."""
