"""The audit: problems of a dataset, their causes and their remedies."""
