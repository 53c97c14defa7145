"""Annotated recordings: files of annotation programs, each read into one model of media, tiers, spans and speakers.

A reader is a function from a path to recordings (`model.AnnotatedRecording`), of which most files have one; it looks
nothing up but that file. To add a format, write one in a module of its own and list it in `formats`. `dataset` makes
utterances of the recordings, `media` finds their audio, `tiers` chooses what is said of what else was written.

The readers are our own: what pympi-ling, praatio and pysubs2 leave to their caller (entities, sizes, encodings, times
that nobody set, a sentence for each fault) is most of the work.
"""
