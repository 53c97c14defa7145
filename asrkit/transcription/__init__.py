"""Checkpoint -> text."""
