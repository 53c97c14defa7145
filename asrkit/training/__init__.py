"""The worker's side: imported by the training process alone."""
