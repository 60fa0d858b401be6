"""Bugs in the code: a function of the product replaced by one that is wrong, and the proofs that must see it."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from billing.credits import allocation
from billing.credits import operations as credits_operations
from billing.infra import audit, locks
from billing.invoicing import numbering, sealing
from billing.kernel.decimals import ZERO
from billing.kernel.ids import new_id
from billing.metering import opening, quotas, reversing, writing_many, writing_one
from billing.metering import operations as metering_operations
from billing.metering.books import Account, Books, Charge, ChargeKey, Window
from billing.metering.decisions import Decider
from billing.metering.offers import Offer, Outcome
from billing.models import DocumentCounter
from tests.planted import scenarios
from tests.planted.scenarios import Proof

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class CodeBug:
    """``proofs`` are run with and without it: nothing is found without it, and by each something with it."""

    name: str
    plant: Callable[[Patch], None]
    proofs: tuple[Proof, ...]
    # A pattern that at least one finding of each proof has, so that it is this bug that is found.
    says: str


def a_lost_lock(patch: Patch) -> None:
    """Everybody locks something else, with some time between reading and writing, so that it takes no luck to meet."""

    def open_books(offers_of: Mapping[UUID, Sequence[Offer]], now: datetime, **rest: Any) -> dict[UUID, Decider]:
        opened = opening.open_books(offers_of, now, **rest)
        time.sleep(0.02)
        return opened

    patch.setattr("billing.metering.operations.open_books", open_books)
    patch.setattr(locks, "lock_key", lambda _: random.getrandbits(62))


def a_lost_lock_and_a_lost_guard(patch: Patch) -> None:
    a_lost_lock(patch)
    for module, name in ((writing_many, "WRITE"), (writing_one, "USE"), (writing_one, "PAID_USE")):
        guarded = getattr(module, name)
        patch.setattr(module, name, guarded.replace(" AND usage.used = w.was", ""))
        assert getattr(module, name) != guarded


def a_limit_one_too_high(patch: Patch) -> None:
    honest = quotas.fits

    def fits(*, taken: Decimal, quantity: Decimal, limit: Decimal | None) -> bool:
        return honest(taken=taken, quantity=quantity, limit=None if limit is None else limit + 1)

    patch.setattr(quotas, "fits", fits)


def a_doubled_retry(patch: Patch) -> None:
    """A door that names every attempt anew."""
    honest = metering_operations.record

    def record(offers: Iterable[Offer], *, now: datetime) -> list[Outcome]:
        renamed = [
            Offer(each.organization, each.meter, each.quantity, new_id().hex, occurred_at=each.occurred_at)
            for each in offers
        ]
        return honest(renamed, now=now)

    patch.setattr(metering_operations, "record", record)


def a_window_bumped_twice(patch: Patch) -> None:
    honest = Window.add

    def add(self: Window, quantity: Decimal, overage: Decimal) -> None:
        honest(self, quantity, overage)
        if self.key.cadence == "daily":
            self.used += quantity

    patch.setattr(Window, "add", add)


def a_charge_that_is_not_kept(patch: Patch) -> None:
    def charge(_: Books, __: ChargeKey) -> Charge:
        return Charge()

    patch.setattr(Books, "charge", charge)


def a_debit_without_a_cause(patch: Patch) -> None:
    honest = Account.pay

    def pay(self: Account, shares: Iterable[allocation.Share], _: UUID) -> None:
        honest(self, shares, new_id())

    patch.setattr(Account, "pay", pay)


def a_skipped_expiry(patch: Patch) -> None:
    patch.setattr(credits_operations, "expire_due", lambda *, account, now: ZERO)


def a_reversal_that_repays_half(patch: Patch) -> None:
    honest = credits_operations.give_back

    def give_back(*, shares: Iterable[allocation.Share], **rest: Any) -> None:
        honest(shares=[share._replace(credits=share.credits / 2) for share in shares], **rest)

    for module in (credits_operations, reversing):
        patch.setattr(getattr(module, "credits_operations", module), "give_back", give_back)


def an_act_that_is_not_audited(patch: Patch) -> None:
    honest = audit.record

    def record(**entry: Any) -> None:
        if entry["act"] != "invoice.issue":
            honest(**entry)

    patch.setattr(audit, "record", record)


def an_act_that_is_audited_twice(patch: Patch) -> None:
    honest = audit.record

    def record(**entry: Any) -> None:
        honest(**entry)
        if entry["act"] == "invoice.pay":
            honest(**entry)

    patch.setattr(audit, "record", record)


def a_document_that_is_not_sealed(patch: Patch) -> None:
    patch.setattr(sealing, "seal_invoice", lambda invoice: None)


def numbers_that_survive_a_rollback(patch: Patch) -> None:
    """As a sequence gives them."""
    given: dict[tuple[str, int, str], int] = {}

    def next_number(*, series: str, year: int, document: str = numbering.INVOICE) -> str:
        key = (series, year, document)
        last = given[key] = given.get(key, 0) + 1
        DocumentCounter.objects.update_or_create(
            issuer=numbering.ISSUER, document=document, year=year, series=series, defaults={"last": last}
        )
        return f"{numbering.prefix(series=series, year=year, document=document)}{last:06d}"

    patch.setattr(numbering, "next_number", next_number)


def a_trigger_that_a_migration_forgot(patch: Patch) -> None:
    del patch
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER marketplace_payments_append_only ON marketplace_payments")


CODE_BUGS = (
    CodeBug("a lost lock", a_lost_lock, (scenarios.race_for_a_limit,), "race: "),
    CodeBug(
        "a lost lock, and the last guard with it",
        a_lost_lock_and_a_lost_guard,
        (scenarios.race_for_a_limit,),
        "windows-equal-events|no-limit-overshot|admitted",
    ),
    CodeBug("a limit one too high", a_limit_one_too_high, (scenarios.race_for_a_limit,), "no-limit-overshot"),
    CodeBug("a doubled retry", a_doubled_retry, (scenarios.repeated_requests,), "client: 10 events of 5 uses"),
    CodeBug(
        "a window bumped twice",
        a_window_bumped_twice,
        (scenarios.a_life, scenarios.months_with_credits),
        "calendar-windows-equal-events",
    ),
    CodeBug(
        "a charge that is not kept",
        a_charge_that_is_not_kept,
        (scenarios.a_life, scenarios.months_with_credits),
        "charges-equal-events",
    ),
    CodeBug(
        "a debit without a cause",
        a_debit_without_a_cause,
        (scenarios.a_life, scenarios.months_with_credits),
        "credit-movements-name-their-cause",
    ),
    CodeBug(
        "a skipped expiry",
        a_skipped_expiry,
        (scenarios.months_with_credits,),
        "lapsed-credits-are-booked",
    ),
    CodeBug(
        "a reversal that repays half",
        a_reversal_that_repays_half,
        (scenarios.a_life,),
        "debits-pay-events",
    ),
    CodeBug(
        "an act that is not audited", an_act_that_is_not_audited, (scenarios.a_life,), "mutations-are-audited-once"
    ),
    CodeBug(
        "an act that is audited twice", an_act_that_is_audited_twice, (scenarios.a_life,), "mutations-are-audited-once"
    ),
    CodeBug(
        "a document that is not sealed",
        a_document_that_is_not_sealed,
        (scenarios.a_life,),
        "issued-documents-equal-their-seals",
    ),
    CodeBug(
        "numbers that survive a rollback",
        numbers_that_survive_a_rollback,
        (scenarios.an_issue_that_is_given_up,),
        "invoice-numbers-are-gapless",
    ),
    CodeBug(
        "a trigger that a migration forgot", a_trigger_that_a_migration_forgot, (scenarios.a_life,), "guards-stand"
    ),
)


def caught(bug: CodeBug, findings: Iterable[str]) -> bool:
    return any(re.search(bug.says, finding) for finding in findings)
