"""``mcpctl``: the operator's door.

Each command reads its arguments, makes one domain call, and shows the answer as text or, with ``--json``, as the same
documents that the API gives. Who has a shell on the server may do everything, under the name of their login.
"""

from billing.cli.application import main

__all__ = ["main"]
