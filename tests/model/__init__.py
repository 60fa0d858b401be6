"""The product against a small model of it, step after step: the same acts have to get the same answers."""
