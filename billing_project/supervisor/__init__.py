"""``make run``: everything the product needs, started together, watched, and stopped together."""
