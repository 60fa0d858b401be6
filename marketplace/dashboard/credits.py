"""Credits as a page shows them: what is left of each grant, and the ledger in pages; frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.credits import allocation
from billing.credits import queries as credits_queries
from billing.kernel.decimals import ZERO
from billing.models import CreditEntry, CreditGrant, MarketplaceSubscription, Organization
from marketplace import wording
from marketplace.dashboard import paging
from marketplace.dashboard.paging import Links
from marketplace.wording import Moment

PAGE_LENGTH = 50


@dataclass(frozen=True, slots=True)
class AccountChoice:
    """A subscription whose credits can be looked at."""

    text: str
    query: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class GrantRow:
    kind: str
    remaining: str
    reserved: str
    granted: str
    note: str
    expires: str
    expires_at: Moment | None


@dataclass(frozen=True, slots=True)
class EntryRow:
    """``tone`` is good for credits that came, calm for those that went."""

    booked_at: Moment
    kind: str
    reason: str
    amount: str
    tone: str
    balance_after: str


@dataclass(frozen=True, slots=True)
class CreditsPage:
    """``sees_money`` opens the ledger and the orders. ``accounts`` is empty where there is but one."""

    has_account: bool
    accounts: tuple[AccountChoice, ...]
    spendable: str
    balance: str
    reserved: str
    grants: tuple[GrantRow, ...]
    sees_money: bool
    may_buy: bool
    entries: tuple[EntryRow, ...]
    links: Links


def credits_page(*, organization: Organization, query: Mapping[str, str], actor: Actor, at: datetime) -> CreditsPage:
    """Raises ``OrganizationNotFound`` or ``Forbidden`` where ``actor`` may not read ``organization``. ``at`` is the
    organization's own now."""
    actors.require(actor, Act.READ, organization)
    sees_money, zone = actors.may(actor, Act.MONEY, organization), ZoneInfo(organization.zone)
    accounts = credits_queries.list_accounts(organization.id)
    account = _choose(accounts, query.get("subscription", ""))
    if account is None:
        return CreditsPage(False, (), "0", "0", "", (), sees_money, False, (), Links("", ""))
    kept = {"subscription": str(account.pk)} if account is not accounts[0] else {}
    grants, held = credits_queries.list_open_grants(account), credits_queries.held(account, at)
    entries, links = _entries(account, query, kept) if sees_money else ([], Links("", ""))
    left = [(grant, grant.remaining - held.get(grant.id, ZERO)) for grant in grants]
    reserved = sum(held.values(), ZERO)
    return CreditsPage(
        has_account=True,
        accounts=tuple(_account(each, account, is_first=each is accounts[0], zone=zone) for each in accounts)
        if len(accounts) > 1
        else (),
        spendable=wording.number(
            max(ZERO, sum((rest for grant, rest in left if allocation.is_spendable(grant, at)), ZERO))
        ),
        balance=wording.number(account.credit_balance),
        reserved=wording.number(reserved) if reserved else "",
        grants=tuple(_grant(grant, held, at, zone) for grant in grants),
        sees_money=sees_money,
        may_buy=actors.may(actor, Act.SUBSCRIBE, organization),
        entries=tuple(_entry(entry, zone) for entry in entries),
        links=links,
    )


def _choose(accounts: list[MarketplaceSubscription], wanted: str) -> MarketplaceSubscription | None:
    named = next((each for each in accounts if str(each.pk) == wanted), None)
    return named or next(iter(accounts), None)


def _account(
    account: MarketplaceSubscription, chosen: MarketplaceSubscription, *, is_first: bool, zone: ZoneInfo
) -> AccountChoice:
    subscription = account.subscription
    words = {"plan": subscription.plan.name}
    if subscription.ended_at:
        words["day"] = wording.day(subscription.ended_at, zone).text
    return AccountChoice(
        text=(_("%(plan)s, until %(day)s") if subscription.ended_at else "%(plan)s") % words,
        query="" if is_first else f"subscription={account.pk}",
        is_chosen=account is chosen,
    )


def _entries(
    account: MarketplaceSubscription, query: Mapping[str, str], kept: dict[str, str]
) -> tuple[list[CreditEntry], Links]:
    wanted = paging.read_number(query)
    found = credits_queries.list_entries(
        account, before_sequence=wanted.before, after_sequence=wanted.after, limit=PAGE_LENGTH + 1
    )
    shown, links = paging.cut(found, wanted, length=PAGE_LENGTH, key=lambda entry: entry.sequence, **kept)
    return list(shown), links


def _grant(grant: CreditGrant, held: Mapping[UUID, Decimal], at: datetime, zone: ZoneInfo) -> GrantRow:
    note, reserved = "", held.get(grant.id, ZERO)
    if grant.starts_at > at:
        note = _("From %(day)s") % {"day": wording.day(grant.starts_at, zone).text}
    elif not allocation.is_spendable(grant, at):
        note = _("Expired")
    return GrantRow(
        kind=wording.grant_kind(grant.kind),
        remaining=wording.number(grant.remaining),
        reserved=wording.number(reserved) if reserved else "",
        granted=wording.number(grant.granted),
        note=note,
        expires=wording.countdown(grant.expires_at, at) if grant.expires_at and grant.expires_at > at else "",
        expires_at=wording.moment(grant.expires_at, zone) if grant.expires_at else None,
    )


def _entry(entry: CreditEntry, zone: ZoneInfo) -> EntryRow:
    kind = wording.entry_kind(entry.kind)
    return EntryRow(
        booked_at=wording.moment(entry.booked_at, zone),
        kind=kind,
        # Some reasons only say what the kind does.
        reason="" if entry.reason.lower() == kind.lower() else entry.reason,
        amount=wording.signed(entry.amount),
        tone="good" if entry.amount > 0 else "calm",
        balance_after=wording.number(entry.balance_after),
    )
