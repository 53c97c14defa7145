"""Reports of a run: model card, picture, archive, and published results to compare with."""
