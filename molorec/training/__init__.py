"""Training adapters: data, objectives, the loop."""
