"""Alignment of a long recording with its text, which become clips to train on."""
