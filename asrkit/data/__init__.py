"""Datasets: utterances, manifests, access rules, and readers for every layout that people bring."""
