"""The marketplace's part of the REST API, on the frame of ``billing.api``."""
