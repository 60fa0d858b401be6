"""An organization's billing profile."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta

from billing.accounts import profiles
from billing.accounts.actors import Act
from billing.accounts.profiles import Profile
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.wire import Nothing, Quantity, Request
from billing.kernel.decimals import ZERO
from billing.reporting.shapes import ProfileDocument

Text = Annotated[str, Meta(max_length=300)]


class TaxRequest(Request, frozen=True):
    """``rate`` is per cent, of what is taxed; ``note`` is why nothing is. An empty ``label`` of what is taxed becomes
    "Tax", and an empty ``note`` of a reverse charge the usual sentence."""

    treatment: Literal["none", "exclusive", "inclusive", "exempt", "reverse_charge"] = "none"
    rate: Quantity | None = None
    label: Text = ""
    note: Text = ""


class ProfileRequest(Request, frozen=True):
    """The whole profile: what is left out is emptied."""

    legal_name: Text = ""
    address: Annotated[list[Text], Meta(max_length=profiles.ADDRESS_LINES_MAX)] = []
    country: Text = ""
    vat_number: Text = ""
    purchase_order: Text = ""
    tax: TaxRequest = TaxRequest()
    payment_terms_days: Annotated[int, Meta(ge=0, le=profiles.TERMS_DAYS_MAX)] | None = None
    collection: Literal["automatic", "manual"] = "manual"

    def read(self) -> Profile:
        rate: Decimal = self.tax.rate.value if self.tax.rate else ZERO
        return Profile(
            legal_name=self.legal_name,
            address=tuple(self.address),
            country=self.country,
            vat_number=self.vat_number,
            purchase_order=self.purchase_order,
            tax_treatment=self.tax.treatment,
            tax_rate=rate,
            tax_label=self.tax.label,
            tax_note=self.tax.note,
            payment_terms_days=self.payment_terms_days,
            collection=self.collection,
        )


class BillingProfile(ApiView):
    @endpoint("Read the billing profile", responses={200: ProfileDocument}, act=Act.READ, tag="organizations")
    def get(self, call: Call[Nothing, Nothing], organization_ref: str) -> Answer:
        organization = call.organization(organization_ref, Act.READ)
        return Answer(200, profiles.as_dict(profiles.read_profile(organization=organization, actor=call.actor)))

    @endpoint("Set the billing profile", responses={200: ProfileDocument}, act=Act.INVOICES, tag="organizations")
    def put(self, call: Call[ProfileRequest, Nothing], organization_ref: str) -> Answer:
        """Replaces the whole profile. Drafts follow it; issued invoices stay as they are."""
        organization = call.organization(organization_ref, Act.INVOICES)
        stored = profiles.set_profile(
            organization=organization, profile=call.body.read(), actor=call.actor, now=call.now(organization)
        )
        return Answer(200, profiles.as_dict(stored))
