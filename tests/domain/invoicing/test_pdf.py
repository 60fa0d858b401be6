"""The invoice as a document to print and keep: the same numbers, and nothing from outside is code."""

import re
import zlib
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from billing.accounts import actors
from billing.invoicing import documents, pdf
from billing.invoicing.operations import draft, issue
from billing.lifecycle import clock, onboard
from billing.models import Invoice
from tests.support import catalogs, factories

OPERATOR = actors.operator("test")


def shown(document: dict[str, Any]) -> str:
    """What the template is given, as one text."""
    return repr(pdf._shown(document, ZoneInfo("UTC")))


@pytest.fixture
def invoice(db: None) -> Invoice:
    catalogs.sync()
    start = factories.at("2026-01-01")
    organization = factories.sandbox(clock_at=start, name='#eval("1") $x$ *Acme* <b>', zone="Asia/Tokyo")
    subscription = onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=start)
    clock.advance(organization=organization, to=factories.at("2026-02-01"), actor=OPERATOR)
    return draft(subscription=subscription, actor=OPERATOR, now=factories.at("2026-02-01"))


def test_a_draft_and_an_issued_invoice_are_documents_of_their_own(invoice: Invoice) -> None:
    drafted = pdf.render(documents.as_dict(invoice), zone=ZoneInfo("UTC"))
    issued = issue(invoice=invoice, actor=OPERATOR, now=factories.at("2026-02-02"))
    final = pdf.render(documents.as_dict(issued), zone=ZoneInfo("UTC"))
    assert drafted.startswith(b"%PDF-")
    assert final.startswith(b"%PDF-")
    assert drafted != final
    assert b"pdfaid:part" in final or any(b"pdfaid" in part for part in _streams(final))


def test_it_shows_the_numbers_of_the_json(invoice: Invoice) -> None:
    document = documents.as_dict(issue(invoice=invoice, actor=OPERATOR, now=factories.at("2026-02-02")))
    text = shown(document)
    for number in (document["number"], document["total"], document["lines"][0]["amount"], "16 Feb 2026"):
        assert number in text


def test_days_are_those_of_the_zone(invoice: Invoice) -> None:
    document = documents.as_dict(issue(invoice=invoice, actor=OPERATOR, now=factories.at("2026-02-02 20:00:00")))
    assert pdf._shown(document, ZoneInfo("UTC"))["issued_on"] == "2 Feb 2026"
    assert pdf._shown(document, ZoneInfo("Asia/Tokyo"))["issued_on"] == "3 Feb 2026"


def test_text_from_outside_is_content_and_never_code(invoice: Invoice) -> None:
    document = documents.as_dict(issue(invoice=invoice, actor=OPERATOR, now=factories.at("2026-02-02")))
    document["customer"]["name"] = '#panic("ran") #include "/etc/passwd" ' + "x" * 5000
    document["lines"][0]["description"] = "\\ $ % # _ * ` @ <label> // comment"
    assert pdf.render(document, zone=ZoneInfo("UTC")).startswith(b"%PDF-")


@pytest.mark.parametrize("lines", [0, 200])
def test_any_number_of_lines_fits(invoice: Invoice, lines: int) -> None:
    document = documents.as_dict(invoice)
    document["lines"] = document["lines"][:1] * lines
    pages = len(re.findall(rb"/Type\s*/Page[^s]", pdf.render(document, zone=ZoneInfo("UTC"))))
    assert (pages > 3) == (lines == 200)


def _streams(content: bytes) -> list[bytes]:
    found = []
    for raw in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL):
        try:
            found.append(zlib.decompress(raw))
        except zlib.error:
            found.append(raw)
    return found
