"""A demo partner for a first look, made through the same operations as real ones: one listing in each state."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction

from billing.accounts import actors
from billing.accounts.actors import Actor, system
from billing.catalog import queries as catalog_queries
from billing.infra import locks
from billing.models import User
from marketplace.models import Listing, Partner, PartnerRole
from marketplace.partners import membership, operations
from marketplace.partners.fields import ListingText
from marketplace.partners.transitions import Step

DEMO = system("demo")
SLUG = "northwind"
_SIDE = 128


class _Sample(NamedTuple):
    slug: str
    text: ListingText
    colours: tuple[tuple[int, int, int], tuple[int, int, int]] | None
    steps: tuple[Step, ...]
    reason: str = ""


_PUBLISHED = (Step.SUBMIT, Step.PUBLISH)
_SAMPLES = (
    _Sample(
        "ledger-bridge",
        ListingText(
            "Ledger bridge",
            "Posts every issued invoice to your accounting, line by line.",
            "Invoices, credit notes and payments arrive as journal entries within a minute of their webhook.\n\n"
            "Accounts are mapped once, by plan and by meter. What cannot be mapped waits in a list.",
            "integrations",
            "https://northwind.example/ledger-bridge",
            "team",
        ),
        ((11, 99, 73), (225, 242, 234)),
        _PUBLISHED,
    ),
    _Sample(
        "quota-lookout",
        ListingText(
            "Quota lookout",
            "Tells your channel which limits will be reached before the month is over.",
            "Reads the use of each day, draws the line to the end of the window, and writes once when it crosses.",
            "analytics",
            "https://northwind.example/quota-lookout",
        ),
        ((47, 98, 184), (230, 238, 252)),
        _PUBLISHED,
    ),
    _Sample(
        "case-intake",
        ListingText(
            "Case intake",
            "Turns mail into cases, and stops politely when the plan's limit is reached.",
            "",
            "automation",
            "https://northwind.example/case-intake",
        ),
        None,
        _PUBLISHED,
    ),
    _Sample(
        "residency-audit",
        ListingText(
            "Residency audit",
            "A yearly review of where your data lives, with a report for your auditor.",
            "Two days on site or remote.",
            "security",
        ),
        ((115, 70, 0), (252, 239, 212)),
        (Step.SUBMIT,),
    ),
    _Sample(
        "spreadsheet-sync",
        ListingText(
            "Spreadsheet sync",
            "Use of the last day in a sheet, every morning.",
            "",
            "data",
            "https://northwind.example/",
        ),
        None,
        (Step.SUBMIT, Step.REJECT),
        "Say which spreadsheets it writes to, and what it needs access to.",
    ),
    _Sample(
        "onboarding-days",
        ListingText("Onboarding days", "Two days with your team.", "To be written.", "services"),
        None,
        (),
    ),
)


def load(*, email: str, now: datetime) -> Partner:
    """Make the demo partner once, with whoever signs in with ``email`` as its admin, whom a later call makes again."""
    with transaction.atomic():
        locks.lock_catalog()
        partner = Partner.objects.filter(slug=SLUG).first()
        is_new = partner is None
        if partner is None:
            partner = membership.create_partner(
                slug=SLUG, name="Northwind Tools", website="https://northwind.example/", actor=DEMO, now=now
            )
        membership.set_member(partner=partner, email=email, role=PartnerRole.ADMIN, actor=DEMO, now=now)
        if is_new:
            _write(partner, actors.for_user(User.objects.get(email=email)), now)
        return partner


def _write(partner: Partner, author: Actor, now: datetime) -> None:
    sold = {plan.code for plan in catalog_queries.list_plans_for_shop()}
    for days, sample in enumerate(_SAMPLES):
        at = now - timedelta(days=len(_SAMPLES) - days)
        text = sample.text
        if text.plan_code not in sold:
            text = ListingText(text.name, text.summary, text.description, text.category, text.website)
        listing = operations.create(
            partner=partner,
            slug=sample.slug,
            text=text,
            image=_picture(*sample.colours) if sample.colours else None,
            actor=author,
            now=at,
        )
        _take(listing, sample.steps, author, at, sample.reason)
    _change(partner, author, now)


def _change(partner: Partner, author: Actor, now: datetime) -> None:
    """A published listing of which a new text waits."""
    listing = Listing.objects.select_related("latest").get(partner=partner, slug="quota-lookout")
    shown = listing.latest
    text = ListingText(
        shown.name,
        "Tells your channel or your pager which limits will be reached before the month is over.",
        shown.description,
        shown.category_id,
        shown.website,
    )
    listing = operations.edit(listing=listing, text=text, actor=author, now=now, expected_version=listing.version)
    _take(listing, (Step.SUBMIT,), author, now, "")


def _take(listing: Listing, steps: Iterable[Step], author: Actor, now: datetime, reason: str) -> None:
    for step in steps:
        by = author if step is Step.SUBMIT else DEMO
        operations.take(listing=listing, step=step, actor=by, now=now, reason=reason)


def _picture(stroke: tuple[int, int, int], ground: tuple[int, int, int]) -> bytes:
    """Rings of two colours as a PNG."""
    middle = (_SIDE - 1) / 2
    rows = bytearray()
    for y in range(_SIDE):
        rows.append(0)
        for x in range(_SIDE):
            ring = int(((x - middle) ** 2 + (y - middle) ** 2) ** 0.5) // 12
            rows += bytes(stroke if ring % 2 == 0 and ring < 5 else ground)
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )
