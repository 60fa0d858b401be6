"""A provider that keeps its books in a folder, outside of our database, as a real one does: for kills and races."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from billing.models import Invoice, Organization, Subscription
from billing.payments import registry
from billing.payments.events import ProviderEvent
from billing.payments.protocol import ChargeRequest, ChargeResult, ProviderUnavailable, ReportedUsage, VerifiedEvent

CODE = "folder"
FOLDER = "COUNTINGHOUSE_TEST_PROVIDER"
# Files in the folder that say how it behaves: killed once right after it took the money; no answer; no money.
DIES, SILENT, DECLINES = "dies", "silent", "declines"


class FolderProvider:
    """One file per idempotency key, made by whoever comes first: the file is the charge."""

    code = CODE

    def __init__(self) -> None:
        self.folder = Path(os.environ[FOLDER])

    def charge(self, request: ChargeRequest) -> ChargeResult:
        status = "failed" if (self.folder / DECLINES).exists() else "succeeded"
        try:
            with (self.folder / f"{request.idempotency_key}.json").open("x") as made:
                json.dump({"amount": request.amount_minor, "status": status, "invoice": request.invoice_number}, made)
        except FileExistsError:
            status = json.loads((self.folder / f"{request.idempotency_key}.json").read_text())["status"]
        dies = self.folder / DIES
        if dies.exists():
            dies.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if (self.folder / SILENT).exists():
            raise ProviderUnavailable("The folder is locked.")
        failed = status == "failed"
        return ChargeResult(
            "failed" if failed else "succeeded", f"ch-{request.idempotency_key}", "card_declined" if failed else ""
        )

    def create_customer(self, *, organization: Organization) -> str:
        return f"cus-{organization.id}"

    def portal_url(self, *, organization: Organization, customer_reference: str, return_url: str) -> str:
        return return_url

    def checkout_url(self, *, subscription: Subscription, customer_reference: str, return_url: str) -> str:
        return return_url

    def payment_url(self, *, invoice: Invoice, customer_reference: str, return_url: str) -> str:
        return return_url

    def verify(self, *, body: bytes, headers: Mapping[str, str], now: datetime) -> VerifiedEvent:
        raise NotImplementedError("it delivers nothing")

    def read(self, body: bytes) -> VerifiedEvent:
        raise NotImplementedError("it delivers nothing")

    def interpret(self, event: VerifiedEvent) -> Sequence[ProviderEvent]:
        return []

    def reported_usage(
        self, *, organization: Organization, customer_reference: str, starts_at: datetime, ends_at: datetime
    ) -> Sequence[ReportedUsage]:
        return []


class Folder:
    """What the provider has booked, and how it behaves."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def say(self, behaviour: str, *, on: bool = True) -> None:
        if on:
            (self.path / behaviour).touch()
        else:
            (self.path / behaviour).unlink(missing_ok=True)

    def taken(self) -> list[int]:
        """Amounts of the charges that brought money."""
        booked = [json.loads(each.read_text()) for each in sorted(self.path.glob("charge-*.json"))]
        return [each["amount"] for each in booked if each["status"] == "succeeded"]


def install() -> None:
    """Make it one of the adapters of this process; ``BILLING_PROVIDER`` chooses it."""
    registry._ADAPTERS[CODE] = "tests.support.providers:FolderProvider"


@contextmanager
def chosen(path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    monkeypatch.setenv(FOLDER, str(path))
    monkeypatch.setitem(registry._ADAPTERS, CODE, "tests.support.providers:FolderProvider")
    settings.BILLING_PROVIDER = CODE
    registry._make.cache_clear()
    yield Folder(path)
    registry._make.cache_clear()
