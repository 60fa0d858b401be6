"""What providers call our organizations. A reference stands for one organization for ever, and each has one."""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError
from django.db.transaction import atomic

from billing.kernel.errors import Conflict
from billing.models import Organization, ProviderCustomer
from billing.payments import calls, registry

REFERENCE_LENGTH_MAX = 120


class CustomerTaken(Conflict):
    """The provider's customer stands for another organization."""

    code = "provider_customer_taken"


def find(organization: Organization) -> ProviderCustomer | None:
    """The organization's customer at whoever collects from it; None before its first checkout, portal or charge."""
    code = registry.code_for(is_sandbox=organization.is_sandbox)
    return ProviderCustomer.objects.filter(organization=organization, provider=code).first()


def reference_of(organization: Organization) -> str:
    """As ``find``, its reference; "" if there is none."""
    found = find(organization)
    return found.reference if found else ""


def find_organization(provider: str, reference: str) -> Organization | None:
    found = (
        ProviderCustomer.objects.select_related("organization").filter(provider=provider, reference=reference).first()
    )
    return found.organization if found else None


def ensure(organization: Organization, *, now: datetime) -> str:
    """The reference of the organization's customer, made at the provider where there is none yet.

    Not inside a transaction. Whoever is second to make one gets the first: providers make it once per organization.
    """
    known = find(organization)
    if known is not None:
        return known.reference
    reference = calls.create_customer(organization)
    code = registry.code_for(is_sandbox=organization.is_sandbox)
    link(organization, provider=code, reference=reference, now=now)
    return reference


def link(organization: Organization, *, provider: str, reference: str, now: datetime) -> bool:
    """Note who a customer is; whether that is news. An organization keeps the first that it has.

    Raises ``CustomerTaken`` where the customer is another organization.
    """
    try:
        with atomic():
            ProviderCustomer.objects.create(
                organization=organization, provider=provider, reference=reference, created_at=now
            )
    except IntegrityError as error:
        if find_organization(provider, reference) in (None, organization):
            return False
        raise CustomerTaken(f"{reference} and this organization do not belong together.") from error
    return True
