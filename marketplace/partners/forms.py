"""What partners and reviewers fill in. The operations check everything; forms say it in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing.kernel.errors import BillingError
from marketplace.models import (
    DESCRIPTION_LENGTH_MAX,
    NAME_LENGTH_MAX,
    REASON_LENGTH_MAX,
    SUMMARY_LENGTH_MAX,
    WEBSITE_LENGTH_MAX,
    Listing,
    PartnerRole,
)
from marketplace.partners.fields import ListingText
from marketplace.partners.transitions import Step

Choices = Sequence[tuple[str, str]]


class Refusable(forms.Form):
    """A form beside whose fields an operation's refusal is said."""

    def refuse(self, refusal: BillingError) -> None:
        field = refusal.details.get("field")
        self.add_error(field if field in self.fields else None, refusal.message)


class ListingForm(Refusable):
    """``version`` is the one that the person has before them when they edit; 0 for a new listing."""

    name = forms.CharField(label=_("Name"), max_length=NAME_LENGTH_MAX)
    slug = forms.SlugField(
        label=_("Address"),
        max_length=60,
        help_text=_("Small letters, digits and hyphens, as it stands in the listing's address. It cannot be changed."),
    )
    summary = forms.CharField(
        label=_("Summary"), max_length=SUMMARY_LENGTH_MAX, help_text=_("One sentence, shown in the list.")
    )
    description = forms.CharField(
        label=_("Description"),
        max_length=DESCRIPTION_LENGTH_MAX,
        required=False,
        widget=forms.Textarea(attrs={"rows": 10}),
        help_text=_("Plain text; an empty line begins a new paragraph."),
    )
    category = forms.ChoiceField(label=_("Category"))
    website = forms.CharField(
        label=_("Website"),
        max_length=WEBSITE_LENGTH_MAX,
        required=False,
        widget=forms.TextInput(attrs={"inputmode": "url", "autocomplete": "url"}),
        help_text=_("Begins with https:// or http://."),
    )
    plan_code = forms.ChoiceField(
        label=_("Goes with a plan"), required=False, help_text=_("The listing links to the plan as long as it is sold.")
    )
    image = forms.FileField(
        label=_("Picture"),
        required=False,
        widget=forms.FileInput(attrs={"accept": "image/png,image/jpeg,image/webp"}),
        help_text=_("PNG, JPEG or WebP, at most 500 kB, each side 16 to 2,000 pixels."),
    )
    drops_image = forms.BooleanField(label=_("Without the picture"), required=False)
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=0, max_value=2**31 - 1, initial=0)

    def __init__(
        self, *args: Any, categories: Choices, plans: Choices, listing: Listing | None = None, **kwargs: Any
    ) -> None:
        if listing is not None:
            kwargs["initial"] = _initial(listing)
        super().__init__(*args, **kwargs)
        self.fields["category"].choices = [("", gettext("Choose …")), *categories]  # type: ignore[attr-defined]
        self.fields["plan_code"].choices = [("", gettext("None")), *plans]  # type: ignore[attr-defined]
        if listing is not None:
            del self.fields["slug"]
        if listing is None or listing.latest.image_id is None:
            del self.fields["drops_image"]

    def text(self) -> ListingText:
        said = self.cleaned_data
        return ListingText(
            name=said["name"],
            summary=said["summary"],
            description=said["description"],
            category=said["category"],
            website=said["website"],
            plan_code=said["plan_code"],
        )

    def image_bytes(self) -> bytes | None:
        upload = self.cleaned_data["image"]
        return None if upload is None else bytes(upload.read())


class StepForm(Refusable):
    """A button: the step, and the version that the person has before them."""

    step = forms.ChoiceField(choices=[(step.value, step.value) for step in Step if step is not Step.EDIT])
    version = forms.IntegerField(min_value=1, max_value=2**31 - 1)
    reason = forms.CharField(label=_("Reason"), max_length=REASON_LENGTH_MAX, required=False)


class MemberForm(Refusable):
    email = forms.CharField(
        label=_("E-mail address"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
        help_text=_("Of somebody who has an account here."),
    )
    role = forms.ChoiceField(
        label=_("Role"),
        choices=[
            (PartnerRole.EDITOR.value, _("Editor: writes listings")),
            (PartnerRole.ADMIN.value, _("Admin: also says who is a member")),
        ],
    )


class PartnerForm(Refusable):
    name = forms.CharField(label=_("Name"), max_length=NAME_LENGTH_MAX)
    slug = forms.SlugField(
        label=_("Address"), max_length=60, help_text=_("Small letters, digits and hyphens. It cannot be changed.")
    )
    website = forms.CharField(
        label=_("Website"),
        max_length=WEBSITE_LENGTH_MAX,
        required=False,
        widget=forms.TextInput(attrs={"inputmode": "url"}),
    )


def _initial(listing: Listing) -> dict[str, Any]:
    latest = listing.latest
    return {
        "name": latest.name,
        "summary": latest.summary,
        "description": latest.description,
        "category": latest.category_id,
        "website": latest.website,
        "plan_code": latest.plan_code,
        "version": listing.version,
    }
