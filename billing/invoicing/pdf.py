"""An invoice as PDF: the numbers of ``documents.as_dict``, set by Typst in this process (about 20 ms).

The template is a file beside this one and the invoice goes in as data: nothing that a customer or a catalog wrote is
ever evaluated. Fonts are the ones that the compiler brings, so a page looks the same on every machine. PDF/A-3b, for
archives.
"""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import typst

from billing.invoicing import wording
from billing.kernel.errors import InvariantViolation
from billing.kernel.periods import Span

TEMPLATE = Path(__file__).with_name("invoice.typ")
_CONTACT = (("country", ""), ("vat_number", "VAT "), ("billing_email", ""))
STANDARD: Literal["a-3b"] = "a-3b"


def render(document: dict[str, Any], *, zone: ZoneInfo) -> bytes:
    """The PDF of an invoice document; its days are those of ``zone``. A draft says on every page that it is one."""
    return _set(_shown(document, zone))


def render_credit_note(document: dict[str, Any], *, zone: ZoneInfo) -> bytes:
    """The PDF of a credit note document."""
    return _set(_shown_credit_note(document, zone))


def _set(shown: dict[str, Any]) -> bytes:
    data = json.dumps(shown)
    rendered = typst.compile(
        TEMPLATE.read_bytes(), sys_inputs={"data": data}, ignore_system_fonts=True, pdf_standards=STANDARD
    )
    if not isinstance(rendered, bytes):
        raise InvariantViolation("the compiler returned several files for one document")
    return rendered


def _shown(document: dict[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    issued_at = document["issued_at"]
    return {
        "title": "Invoice" if document["status"] != "draft" else "Draft invoice",
        "number": document["number"] or "not issued",
        "is_draft": document["status"] in ("draft", "preview"),
        "is_void": document["status"] == "void",
        "currency": document["currency"],
        "issued_on": wording.day(_at(issued_at), zone) if issued_at else "",
        "facts": _facts(
            ("Issued on", wording.day(_at(issued_at), zone) if issued_at else ""),
            ("Due on", _date(document["due_on"]) if document["due_on"] else ""),
            ("Period", wording.days(_span(document["period"]), zone) if document["period"] else ""),
            ("Your order", document["customer"].get("purchase_order", "")),
            ("Currency", document["currency"]),
        ),
        "issuer": _party(document["issuer"]),
        "customer": _party(document["customer"]),
        "header": ["Description", "Quantity", "Price", "Amount incl. tax" if _is_inclusive(document) else "Amount"],
        "lines": [
            [
                line["description"],
                _grouped(line["quantity"]),
                line["rate"] if line["per"] == "1" else f"{line['rate']} / {_grouped(line['per'])}",
                _grouped(line["amount"]),
            ]
            for line in document["lines"]
        ],
        "subtotal_label": "Net" if _is_inclusive(document) else "Subtotal",
        "subtotal": _grouped(document["subtotal"]),
        "taxes": _taxes(document),
        "total": _grouped(document["total"]),
        # A document of which nothing was paid says what is due by its total.
        "settled": [
            [label, _grouped(document[name])]
            for label, name in (("Paid", "paid"), ("Credited", "credited"), ("Due", "due"))
            if any(Decimal(document[each]) for each in ("paid", "credited"))
        ],
        "notes": _notes(document),
    }


def _shown_credit_note(document: dict[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    issued_on = wording.day(_at(document["issued_at"]), zone)
    return {
        "title": "Credit note",
        "number": document["number"],
        "is_draft": False,
        "is_void": False,
        "currency": document["currency"],
        "issued_on": issued_on,
        "facts": _facts(
            ("Issued on", issued_on), ("For invoice", document["invoice"]["number"]), ("Currency", document["currency"])
        ),
        "issuer": _party(document["issuer"]),
        "customer": _party(document["customer"]),
        "header": ["Description", "Amount incl. tax" if _is_inclusive(document) else "Amount"],
        "lines": [[line["description"], _grouped(line["amount"])] for line in document["lines"]],
        "subtotal_label": "Net" if _is_inclusive(document) else "Subtotal",
        "subtotal": _grouped(document["subtotal"]),
        "taxes": [["Tax", _grouped(document["tax"])]],
        "total": _grouped(document["total"]),
        "settled": [],
        "notes": [f"Reason: {document['reason']}", *_notes(document)],
    }


def _is_inclusive(document: dict[str, Any]) -> bool:
    return any(line["tax_included"] for line in document["lines"])


def _taxes(document: dict[str, Any]) -> list[list[str]]:
    """A row for each rate; where nothing is taxed one that says so."""
    rates = [
        [f"{tax['label'] or 'Tax'} {tax['rate']} % on {_grouped(tax['net'])}", _grouped(tax["tax"])]
        for tax in document["taxes"]
        if tax["rate"] != "0"
    ]
    return rates or [["Tax", _grouped(document["tax"])]]


def _notes(document: dict[str, Any]) -> list[str]:
    note = document["customer"].get("tax", {}).get("note", "")
    return [note] if note else []


def _facts(*rows: tuple[str, str]) -> list[list[str]]:
    return [[label, value] for label, value in rows if value]


def _party(party: dict[str, Any]) -> list[str]:
    """Name first, then the lines of an address, in the order given; empty ones left out."""
    given = party.get("address") or ""
    address = given.splitlines() if isinstance(given, str) else [str(line) for line in given]
    contact = [f"{label}{party[name]}" for name, label in _CONTACT if party.get(name)]
    return [line for line in (str(party.get("name") or ""), *address, *contact) if line.strip()]


def _grouped(number: str) -> str:
    """``3059974.5`` as ``3,059,974.5``: for the eye; the numbers themselves are the JSON's."""
    return format(Decimal(number), ",f")


def _date(text: str) -> str:
    return wording.day(datetime.fromisoformat(f"{text}T12:00:00+00:00"), ZoneInfo("UTC"))


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _span(period: dict[str, str]) -> Span:
    return Span(_at(period["starts_at"]), _at(period["ends_at"]))
