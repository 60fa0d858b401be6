"""What an organization is dunned for, and what was written to it."""

from __future__ import annotations

from typing import Literal

from billing.accounts.actors import Act
from billing.api import pagination
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.pagination import PageQuery, TimeKey
from billing.api.settlement import Why
from billing.api.wire import Nothing
from billing.lifecycle.collecting import documents, operations, queries
from billing.lifecycle.collecting.documents import DunningDocument
from billing.mail import documents as mail_documents
from billing.mail import operations as mail_operations
from billing.mail import queries as mail_queries
from billing.mail.documents import MailDocument


class DunningsQuery(PageQuery, frozen=True):
    state: Literal["open", "closed"] | None = None


class MailsQuery(PageQuery, frozen=True):
    status: Literal["pending", "sent", "skipped", "parked"] | None = None


class Dunnings(ApiView):
    @endpoint("List dunnings", responses={200: pagination.page_of(DunningDocument)}, act=Act.MONEY, tag="dunning")
    def get(self, call: Call[Nothing, DunningsQuery], organization_ref: str) -> Answer:
        """Invoices that are, or were, dunned for, with every charge that was tried; the last issued first."""
        after = pagination.read_cursor(call.query, TimeKey)
        rows = queries.list_dunnings(
            organization=call.organization(organization_ref, Act.MONEY),
            actor=call.actor,
            is_open=None if call.query.state is None else call.query.state == "open",
            before=(after.at, after.id) if after else None,
            limit=call.query.size + 1,
        )
        return Answer(
            200,
            pagination.page(
                call.request, call.query, rows, show=documents.dunning, key=lambda row: TimeKey(row.started_at, row.id)
            ),
        )


class DunningDetail(ApiView):
    @endpoint("Read a dunning", responses={200: DunningDocument}, act=Act.MONEY, tag="dunning")
    def get(self, call: Call[Nothing, Nothing], dunning_id: str) -> Answer:
        """By its id, or by id or number of the invoice; also while that is only collected."""
        found = queries.get_collection(dunning_id, actor=call.actor)
        call.require(Act.MONEY, found.organization)
        return Answer(200, documents.dunning(found))


class RetryDunning(ApiView):
    # Not under an Idempotency-Key, which is a transaction, and no provider is called inside one. Two at once are one:
    # while a charge is under way there is no second.
    @endpoint("Charge now", responses={200: DunningDocument}, act=Act.INVOICES, tag="dunning", problems=(409, 502))
    def post(self, call: Call[Nothing, Nothing], dunning_id: str) -> Answer:
        """Charges all that is due through the provider, whatever the schedule says, and tells how that went."""
        found = queries.get_collection(dunning_id, actor=call.actor)
        call.require(Act.INVOICES, found.organization)
        retried = operations.retry(collection=found, actor=call.actor, now=call.now(found.organization))
        return Answer(200, documents.dunning(retried))


class StopDunning(ApiView):
    @endpoint(
        "Stop a dunning",
        responses={200: DunningDocument},
        act=Act.INVOICES,
        idempotent=True,
        tag="dunning",
        problems=(409,),
    )
    def post(self, call: Call[Why, Nothing], dunning_id: str) -> Answer:
        """Charges and reminds no more, and lets go of a subscription that is past due because of it."""
        found = queries.get_collection(dunning_id, actor=call.actor)
        call.require(Act.INVOICES, found.organization)
        stopped = operations.stop(
            collection=found, actor=call.actor, reason=call.body.reason, now=call.now(found.organization)
        )
        return Answer(200, documents.dunning(stopped))


class Mails(ApiView):
    @endpoint("List e-mail", responses={200: pagination.page_of(MailDocument)}, act=Act.MONEY, tag="dunning")
    def get(self, call: Call[Nothing, MailsQuery], organization_ref: str) -> Answer:
        """What was written to the organization, the last first; and what was not sent, and why."""
        after = pagination.read_cursor(call.query, TimeKey)
        rows = mail_queries.list_mails(
            organization=call.organization(organization_ref, Act.MONEY),
            actor=call.actor,
            status=call.query.status,
            before=(after.at, after.id) if after else None,
            limit=call.query.size + 1,
        )
        return Answer(
            200,
            pagination.page(
                call.request,
                call.query,
                rows,
                show=mail_documents.mail,
                key=lambda row: TimeKey(row.created_at, row.id),
            ),
        )


class ResendMail(ApiView):
    @endpoint(
        "Send an e-mail again",
        responses={200: MailDocument},
        act=Act.INVOICES,
        idempotent=True,
        tag="dunning",
        problems=(409,),
    )
    def post(self, call: Call[Nothing, Nothing], mail_id: str) -> Answer:
        """Queues a message once more, for the address that the organization has now."""
        found = mail_queries.get_mail(mail_id, actor=call.actor)
        call.require(Act.INVOICES, found.organization)
        return Answer(200, mail_documents.mail(mail_operations.resend(mail=found, actor=call.actor, now=call.at)))
