"""A message as it goes out: subject, text, HTML and, for invoices, the document."""

from __future__ import annotations

from email.utils import formataddr, parseaddr
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from billing.invoicing import documents, pdf
from billing.invoicing import queries as invoicing_queries
from billing.mail.kinds import ATTACHED, SUBJECTS, Kind
from billing.models import Invoice, Mail

SUBJECT_LENGTH_MAX = 150


def message(mail: Mail) -> EmailMultiAlternatives:
    """The same bytes at every attempt but for the date and the MIME boundary; ``Message-ID`` names the row."""
    kind = Kind(mail.kind)
    facts: dict[str, Any] = {**mail.facts, "issuer": settings.BILLING_ISSUER["name"]}
    sender = settings.BILLING_MAIL_FROM
    made = EmailMultiAlternatives(
        subject=one_line(SUBJECTS[kind].format(**facts)),
        body=render_to_string(f"billing/mail/{kind}.txt", facts),
        from_email=formataddr((one_line(settings.BILLING_ISSUER["name"]), sender)),
        to=[mail.to],
        headers={
            "Message-ID": f"<{mail.id}@{parseaddr(sender)[1].rpartition('@')[2]}>",
            # Nobody's holiday notice should answer a machine.
            "Auto-Submitted": "auto-generated",
        },
    )
    made.attach_alternative(render_to_string(f"billing/mail/{kind}.html", facts), "text/html")
    if mail.invoice is not None and kind in ATTACHED:
        made.attach(f"{_file_name(mail.invoice)}.pdf", _document(mail.invoice), "application/pdf")
    return made


def one_line(text: str) -> str:
    """What may stand in a header: no line end, nothing that cannot be printed, of a bounded length."""
    return "".join(c if c.isprintable() else " " for c in text).strip()[:SUBJECT_LENGTH_MAX]


def _document(invoice: Invoice) -> bytes:
    loaded = invoicing_queries.get_invoice(str(invoice.id))
    return pdf.render(documents.as_dict(loaded), zone=ZoneInfo(loaded.organization.zone))


def _file_name(invoice: Invoice) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in invoice.number or str(invoice.id))
