"""The Gradio screen: small functions over an :class:`molorec.engine.Engine`; nothing here knows torch."""
