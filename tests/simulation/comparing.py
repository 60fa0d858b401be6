"""What the product billed against what the calculator says, and whether the product's own lines tile time."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from uuid import UUID

from django.utils import timezone

from billing.models import Invoice, InvoiceLine, InvoiceStatus, Organization, Subscription
from billing.notifications import dispatch
from billing.reporting import doctor
from tests.simulation.calculator import Life
from tests.simulation.driving import Town
from tests.simulation.log import Bill, Line
from tests.support import invoice_sums


@dataclass
class Findings:
    """``differences`` tell each invoice that the two do not agree on, ``untiled`` each gap and overlap, ``unwell``
    what the doctor says."""

    subscriptions: int = 0
    invoices: int = 0
    lines: int = 0
    events: int = 0
    differences: list[str] = field(default_factory=list)
    untiled: list[str] = field(default_factory=list)
    unwell: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.differences or self.untiled or self.unwell)


def examine(town: Town) -> Findings:
    findings = Findings(subscriptions=Subscription.objects.count())
    ids = dict(Organization.objects.values_list("slug", "id"))
    for resident in town.residents:
        life = Life(resident.story())
        billed = billed_to(ids[resident.name])
        findings.events += life.events
        findings.invoices += len(billed)
        findings.lines += sum(len(bill.lines) for bill in billed)
        findings.differences += [f"{resident.name}: {each}" for each in differences(billed, life.bills)]
        findings.untiled += [f"{resident.name}: {each}" for each in untiled(ids[resident.name], life)]
    # Nobody distributed events while years went by.
    dispatch.distribute(now=timezone.now())
    findings.unwell = [str(each) for each in doctor.verify()] + [str(each) for each in invoice_sums.verify_totals()]
    return findings


def differences(billed: list[Bill], expected: list[Bill]) -> list[str]:
    """A sentence for each invoice that is not the same to the last minor unit, or that only one side has."""
    ours, theirs = _by_place(billed), _by_place(expected)
    found = []
    for key in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(key), theirs.get(key)
        if one != other:
            found.append(f"subscription {key[0]}, {key[2]} from {key[1]:%Y-%m-%d %H:%M:%S}: {_difference(one, other)}")
    return found


def _by_place(bills: list[Bill]) -> dict[tuple[int, datetime, str, int], Bill]:
    """By subscription, period and kind, and which of these it is."""
    found: dict[tuple[int, datetime, str, int], Bill] = {}
    for bill in bills:
        place = bill.subscription, bill.starts_at, bill.kind
        found[(*place, sum(key[:3] == place for key in found))] = bill
    return found


def _difference(billed: Bill | None, expected: Bill | None) -> str:
    if billed is None or expected is None:
        return "not billed" if billed is None else "billed, and should not be"
    only_billed, only_expected = set(billed.lines) - set(expected.lines), set(expected.lines) - set(billed.lines)
    return (
        f"total {billed.total}, should be {expected.total}; "
        f"lines {sorted(map(_said, only_billed))}, should be {sorted(map(_said, only_expected))}"
    )


def _said(line: Line) -> str:
    where = " ".join(filter(None, (line.charge, f"{line.plan} v{line.version}", line.meter, f"tier {line.tier}")))
    when = f"{line.starts_at:%Y-%m-%d %H:%M:%S} to {line.ends_at:%Y-%m-%d %H:%M:%S}"
    return f"{where}, {when}: {float(line.quantity)} cost {line.amount} + {line.tax}"


def untiled(organization_id: UUID, life: Life) -> list[str]:
    """Gaps and overlaps of what base lines bill of each subscription, from its first regular period on.

    A stretch on a plan is as long as its lines say in sum: those in advance, less those that give back. Of the period
    that still runs, what is billed in arrears is on no invoice yet: that one is left out.
    """
    numbers = _numbers(organization_id)
    lengths: dict[tuple[int, datetime, str, int, str], int] = defaultdict(int)
    lines = InvoiceLine.objects.filter(organization_id=organization_id, charge="base").exclude(
        invoice__status__in=(InvoiceStatus.DRAFT, InvoiceStatus.VOID)
    )
    for line in lines.select_related("invoice", "plan"):
        number = numbers[line.invoice.subscription_id]
        key = number, line.starts_at, line.plan.code, line.plan.version, str(line.rate)
        lengths[key] += int(line.details["seconds"])
    found = []
    for subscription in life.subscriptions:
        stretches = sorted(
            (key[1], key[1] + timedelta(seconds=length))
            for key, length in lengths.items()
            if key[0] == subscription.number and length
        )
        regular = [each for each in subscription.periods if not each.is_trial]
        closed = [each for each in regular if each.closed_at is not None]
        if not closed:
            continue
        bounds = [(regular[0].starts_at,) * 2, *(each for each in stretches if each[0] < closed[-1].ends_at)]
        found += [
            f"subscription {subscription.number}: billed to {one[1]}, then from {other[0]}"
            for one, other in pairwise(bounds)
            if one[1] != other[0]
        ]
        if bounds[-1][1] < min(closed[-1].ends_at, subscription.ended_at or closed[-1].ends_at):
            found.append(f"subscription {subscription.number}: billed to {bounds[-1][1]} only")
    return found


def _numbers(organization_id: UUID) -> dict[UUID, int]:
    ordered = Subscription.objects.filter(organization_id=organization_id).order_by("starts_at", "created_at")
    return {subscription_id: number for number, subscription_id in enumerate(ordered.values_list("id", flat=True))}


def billed_to(organization_id: UUID) -> list[Bill]:
    numbers = _numbers(organization_id)
    issued = (
        Invoice.objects.filter(organization_id=organization_id)
        .exclude(status__in=(InvoiceStatus.DRAFT, InvoiceStatus.VOID))
        .order_by("issued_at", "number")
        .prefetch_related("lines__plan")
    )
    return [_bill(numbers[invoice.subscription_id], invoice) for invoice in issued]


def _bill(number: int, invoice: Invoice) -> Bill:
    lines = tuple(
        sorted(
            Line(
                line.charge,
                line.plan.code,
                line.plan.version,
                line.meter_id or "",
                int(line.details.get("tier", "0")),
                line.starts_at,
                line.ends_at,
                Fraction(line.quantity) / (Fraction(line.per) if line.charge == "base" else 1),
                line.amount_minor,
                line.tax_minor,
            )
            for line in invoice.lines.all()
        )
    )
    assert invoice.period is not None
    return Bill(
        number,
        invoice.kind,
        invoice.period.starts_at,
        lines,
        invoice.subtotal_minor,
        invoice.tax_minor,
        invoice.total_minor,
    )
