"""Recommenders after other papers, trained here from scratch or on our backbone, for the same lists as everything else."""
