"""The audit: what is wrong with a dataset, why it matters, and the remedy."""
