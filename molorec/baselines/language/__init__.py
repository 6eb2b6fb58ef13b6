"""Recommenders after other papers' ideas, each a LoRA adapter of the same frozen language model that MoLoRec mixes."""
