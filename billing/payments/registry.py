"""Which providers there are, and which one this installation collects through."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module

from django.conf import settings

from billing.payments.protocol import Provider, ProviderUnknown

STUB = "stub"
STRIPE = "stripe"
# Loaded when asked for: an installation that uses the stub never imports the other's package.
_ADAPTERS = {STUB: "billing.payments.stub:StubProvider", STRIPE: "billing.payments.stripe_like:StripeLikeAdapter"}


def provider() -> Provider:
    """The one that ``BILLING_PROVIDER`` names."""
    return get(settings.BILLING_PROVIDER)


def code_for(*, is_sandbox: bool) -> str:
    """Who collects from an organization: a sandbox is never charged anywhere but at the stub."""
    return STUB if is_sandbox else str(settings.BILLING_PROVIDER)


def get(code: str) -> Provider:
    """Raises ``ProviderUnknown``. Of two the stub is always there, because sandboxes are charged through it."""
    if code not in _ADAPTERS or code not in (STUB, settings.BILLING_PROVIDER):
        raise ProviderUnknown("No such provider is set up.")
    return _make(code)


def codes() -> tuple[str, ...]:
    return tuple(_ADAPTERS)


@lru_cache
def _make(code: str) -> Provider:
    module, _, name = _ADAPTERS[code].partition(":")
    made: Provider = getattr(import_module(module), name)()
    return made
