"""An organization's billing profile: whom invoices are made out to, and how they are taxed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.transaction import atomic

from billing.accounts import actors, fields
from billing.accounts.actors import Act, Actor
from billing.infra import audit, locks
from billing.kernel.decimals import ZERO, plain
from billing.kernel.errors import Invalid
from billing.models import BillingProfile, CollectionMethod, Organization, TaxTreatment

ADDRESS_LINES_MAX = 6
RATE_MAX = Decimal(100)
RATE_PLACES = 3
TERMS_DAYS_MAX = 365
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_VAT_NUMBER = re.compile(r"[A-Z0-9][A-Z0-9 .+*/-]{2,28}[A-Z0-9]", re.ASCII)
TAXED = (TaxTreatment.EXCLUSIVE, TaxTreatment.INCLUSIVE)


@dataclass(frozen=True, slots=True)
class Profile:
    """All of a billing profile. ``tax_rate`` is per cent; ``tax_note`` says why nothing is taxed.

    By ``collection`` invoices are charged when they are issued (``automatic``), or sent and waited for (``manual``).
    """

    legal_name: str = ""
    address: Sequence[str] = ()
    country: str = ""
    vat_number: str = ""
    purchase_order: str = ""
    tax_treatment: str = TaxTreatment.NONE.value
    tax_rate: Decimal = ZERO
    tax_label: str = ""
    tax_note: str = ""
    payment_terms_days: int | None = None
    collection: str = CollectionMethod.MANUAL.value


def find_profile(organization: Organization) -> BillingProfile | None:
    return BillingProfile.objects.filter(organization=organization).first()


def read_profile(*, organization: Organization, actor: Actor) -> Profile:
    """The profile as it stands; one that was never set is empty and taxes nothing."""
    actors.require(actor, Act.READ, organization)
    return of_row(find_profile(organization))


def set_profile(*, organization: Organization, profile: Profile, actor: Actor, now: datetime) -> Profile:
    """Replace the profile as a whole. Drafts follow it; what was issued stays as it was. For finance, because it
    decides on tax. Raises ``Invalid`` naming the field."""
    actors.require(actor, Act.INVOICES, organization)
    checked = _checked(profile)
    with atomic():
        locks.lock_organization(organization.id)
        before = of_row(find_profile(organization))
        if checked == before:
            return before
        written = {**asdict(checked), "address": "\n".join(checked.address), "updated_at": now}
        BillingProfile.objects.update_or_create(organization=organization, defaults=written)
        audit.record(
            actor=actor.name,
            act="profile.set",
            object_type="organization",
            object_id=organization.id,
            organization_id=organization.id,
            details={"from": as_dict(before), "to": as_dict(checked)},
        )
    return checked


def of_row(row: BillingProfile | None) -> Profile:
    if row is None:
        return Profile()
    return Profile(
        legal_name=row.legal_name,
        address=tuple(row.address.splitlines()),
        country=row.country,
        vat_number=row.vat_number,
        purchase_order=row.purchase_order,
        tax_treatment=row.tax_treatment,
        tax_rate=row.tax_rate,
        tax_label=row.tax_label,
        tax_note=row.tax_note,
        payment_terms_days=row.payment_terms_days,
        collection=row.collection,
    )


def as_dict(profile: Profile) -> dict[str, Any]:
    """For the wire and the audit log."""
    return {
        "legal_name": profile.legal_name,
        "address": list(profile.address),
        "country": profile.country,
        "vat_number": profile.vat_number,
        "purchase_order": profile.purchase_order,
        "tax": {
            "treatment": profile.tax_treatment,
            "rate": plain(profile.tax_rate),
            "label": profile.tax_label,
            "note": profile.tax_note,
        },
        "payment_terms_days": profile.payment_terms_days,
        "collection": profile.collection,
    }


def _checked(profile: Profile) -> Profile:
    def text(value: str, field: str, length_max: int) -> str:
        return fields.name(value, field=field, length_max=length_max, blank=True)

    if len(profile.address) > ADDRESS_LINES_MAX:
        raise Invalid(f"An address has at most {ADDRESS_LINES_MAX} lines.", field="address")
    country, vat_number = profile.country.strip().upper(), profile.vat_number.strip().upper()
    if country and not _COUNTRY.fullmatch(country):
        raise Invalid("A country is its two letters (ISO 3166-1).", field="country")
    if vat_number and not _VAT_NUMBER.fullmatch(vat_number):
        raise Invalid("A VAT number has 4 to 30 letters and digits.", field="vat_number")
    days = profile.payment_terms_days
    if days is not None and not 0 <= days <= TERMS_DAYS_MAX:
        raise Invalid(f"Payment terms are 0 to {TERMS_DAYS_MAX} days.", field="payment_terms_days")
    if profile.collection not in CollectionMethod.values:
        raise Invalid(f"Invoices are collected by {' or '.join(CollectionMethod.values)}.", field="collection")
    treatment, rate, label, note = _tax(profile, vat_number)
    return Profile(
        legal_name=text(profile.legal_name, "legal_name", 200),
        address=tuple(filter(None, (text(line, "address", 100) for line in profile.address))),
        country=country,
        vat_number=vat_number,
        purchase_order=text(profile.purchase_order, "purchase_order", 60),
        tax_treatment=treatment,
        tax_rate=rate,
        tax_label=label,
        tax_note=note,
        payment_terms_days=days,
        collection=profile.collection,
    )


def _tax(profile: Profile, vat_number: str) -> tuple[str, Decimal, str, str]:
    treatment, rate = profile.tax_treatment, profile.tax_rate
    label = fields.name(profile.tax_label, field="tax.label", length_max=40, blank=True)
    note = fields.name(profile.tax_note, field="tax.note", length_max=300, blank=True)
    if treatment not in TaxTreatment.values:
        raise Invalid(f"A tax treatment is one of {', '.join(TaxTreatment.values)}.", field="tax.treatment")
    if treatment in TAXED:
        if not ZERO < rate <= RATE_MAX or rate != round(rate, RATE_PLACES):
            raise Invalid("A rate is more than 0 and at most 100 per cent, with three decimals.", field="tax.rate")
        return treatment, round(rate, RATE_PLACES), label or "Tax", note
    if rate != ZERO:
        raise Invalid("Only what is taxed has a rate.", field="tax.rate")
    if treatment == TaxTreatment.EXEMPT and not note:
        raise Invalid("An exemption needs its reason.", field="tax.note")
    if treatment == TaxTreatment.REVERSE_CHARGE:
        if not vat_number:
            raise Invalid("Reverse charge needs the customer's VAT number.", field="vat_number")
        note = note or "Reverse charge: the recipient is liable for the tax."
    return treatment, ZERO, label, note
