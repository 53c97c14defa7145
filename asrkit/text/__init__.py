"""Text: named normalizers, numbers in words, and word, character and mixed error rates."""
