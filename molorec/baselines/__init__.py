"""Recommenders without a language model, trained here from scratch, for the same lists as everything else."""
