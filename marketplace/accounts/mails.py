"""What is written to somebody who was asked to join. The link's secret is kept nowhere, so it is sent at once."""

from __future__ import annotations

from smtplib import SMTPException

from allauth.utils import build_absolute_uri
from django.conf import settings
from django.core.mail import EmailMessage
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from billing.infra import logs
from billing.models import Invitation
from marketplace.accounts import pages


def send_invitation(request: HttpRequest, invitation: Invitation, secret: str) -> bool:
    """Whether the mail server took it."""
    organization = invitation.organization
    text = render_to_string(
        "marketplace/accounts/invitation.txt",
        {
            "organization": organization.name,
            "role": pages.role_name(invitation.role),
            "invited_by": invitation.invited_by.email if invitation.invited_by else "",
            "url": build_absolute_uri(request, reverse("invitation", args=[secret])),
            "days": (invitation.expires_at - invitation.created_at).days,
        },
    )
    subject = _("Join %(organization)s") % {"organization": organization.name}
    try:
        EmailMessage(subject, text, settings.BILLING_MAIL_FROM, [invitation.email]).send()
    except (OSError, SMTPException) as error:
        logs.event("invitation.mail_failed", error=error, organization=organization.id, invitation=invitation.id)
        return False
    return True
