"""Scoring candidates: the token trie and one forward pass."""
