"""Writing collections. Each act takes the organization's lock and looks at the rows again under it.

Providers report through ``payment_succeeded`` and ``payment_failed``; beat and sandbox clocks work through ``run``.
"""

from billing.lifecycle.collecting.operations.by_hand import release, retry, stop
from billing.lifecycle.collecting.operations.following import follow
from billing.lifecycle.collecting.operations.reported import payment_failed, payment_succeeded
from billing.lifecycle.collecting.operations.sweeping import run

__all__ = ["follow", "payment_failed", "payment_succeeded", "release", "retry", "run", "stop"]
