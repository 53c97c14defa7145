"""Base models: resolution of names, vocabularies, processors and memory format."""
