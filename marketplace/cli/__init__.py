"""The marketplace's part of ``mcpctl billing``, on the frame of ``billing.cli``."""
