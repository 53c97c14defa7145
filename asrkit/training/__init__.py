"""Training of a run. Only the worker process imports this package."""
