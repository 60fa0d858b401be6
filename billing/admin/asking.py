"""What the pages of acts ask for."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django import forms
from unfold.widgets import (
    UnfoldAdminDateWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from billing.kernel.decimals import parse_decimal
from billing.models import GrantKind

REASON_LENGTH_MAX = 500


class Quantity(forms.CharField):
    """A plain decimal, as everywhere: no exponents, at most six decimals."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text:
            return None
        try:
            return parse_decimal(text.replace(" ", ""))
        except ValueError as error:
            raise forms.ValidationError(f"This {error}.") from error


class ActForm(forms.Form):
    """``token`` is of this one filling-in: what it did is done once."""

    token = forms.UUIDField(widget=forms.HiddenInput)

    @classmethod
    def starting(cls, row: Any) -> dict[str, Any]:
        """With what the form begins; ``row`` where it is for one alone."""
        return {"token": uuid4()}


class Confirm(ActForm):
    """Nothing but yes."""


class Why(ActForm):
    reason = forms.CharField(
        max_length=REASON_LENGTH_MAX,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Goes into the audit log, and onto a document where the act makes one.",
    )


class Received(ActForm):
    """Money that came in; without an amount all that is due."""

    amount = Quantity(
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="In the invoice's currency. Empty: all that is left to pay.",
    )
    reference = forms.CharField(
        max_length=160,
        widget=UnfoldAdminTextInputWidget,
        help_text="What the bank calls it; the invoice's number is added.",
    )


class GivenBack(Why):
    """Money that went back."""

    amount = Quantity(widget=UnfoldAdminTextInputWidget, help_text="In the invoice's currency.")
    reference = Received.declared_fields["reference"]

    field_order = ("amount", "reference", "reason")


class CreditLines(Why):
    """All that is left of an invoice, or some of its lines."""

    lines = forms.CharField(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Empty: all that is left. Else a row each: a line's number and an amount (“2 10.50”), or no amount.",
    )

    def clean_lines(self) -> dict[int, Decimal | None]:
        wanted: dict[int, Decimal | None] = {}
        for line in self.cleaned_data["lines"].splitlines():
            if not line.strip():
                continue
            number, _, amount = line.strip().partition(" ")
            try:
                position = int(parse_decimal(number, places=0))
                wanted[position] = parse_decimal(amount.strip()) if amount.strip() else None
            except ValueError as error:
                raise forms.ValidationError(f"“{line.strip()[:40]}” is not a line's number and an amount.") from error
        return wanted


class Credits(ActForm):
    """Credits to give or take."""

    KINDS = [(kind.value, kind.label) for kind in GrantKind if kind is not GrantKind.ALLOWANCE]
    credits = Quantity(widget=UnfoldAdminTextInputWidget, help_text="To take some, begin with a minus.")
    kind = forms.ChoiceField(choices=KINDS, initial=GrantKind.ADJUSTMENT, widget=UnfoldAdminSelectWidget)
    expires_on = forms.DateField(
        required=False,
        widget=UnfoldAdminDateWidget,
        help_text="First day on which credits given are worth nothing, 00:00 UTC. Empty: never.",
    )
    reason = Why.declared_fields["reason"]

    def clean_credits(self) -> Decimal:
        credits: Decimal = self.cleaned_data["credits"]
        if not credits:
            raise forms.ValidationError("This is nothing.")
        return credits

    def clean_expires_on(self) -> Any:
        day = self.cleaned_data["expires_on"]
        return None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC)
