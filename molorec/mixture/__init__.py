"""Mixing LoRA adapters in weight space."""
