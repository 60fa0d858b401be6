"""Audit exports: streamed as they are read."""

from __future__ import annotations

from typing import Literal

import msgspec
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase

from billing.accounts.actors import Act
from billing.api.endpoint import ApiView, Call, endpoint
from billing.api.wire import Instant, Nothing, Request
from billing.kernel.errors import NotFound
from billing.reporting import exports

_MEDIA = {"csv": "text/csv", "jsonl": "application/jsonl"}


class ExportNotFound(NotFound):
    """There is no export of this name."""


class ExportQuery(Request, frozen=True):
    """``from`` and ``to`` bound the time, the end left out."""

    format: Literal["csv", "jsonl"] = "csv"
    since: Instant | None = msgspec.field(default=None, name="from")
    until: Instant | None = msgspec.field(default=None, name="to")


class Export(ApiView):
    @endpoint(
        "Export for an audit",
        responses={200: None},
        act=Act.READ,
        tag="exports",
        media={media: shape for shape, media in _MEDIA.items()},
    )
    def get(self, call: Call[Nothing, ExportQuery], organization_ref: str, export: str) -> HttpResponseBase:
        """Usage windows, the credit ledger with its seals, or usage events: all rows in order, of one moment.

        CSV or one JSON object a line; columns are described in `docs/exports.md`. People need to see money for the
        ledger.
        """
        organization = call.organization(organization_ref, Act.MONEY if export == exports.LEDGER else Act.READ)
        if export not in exports.EXPORTS:
            raise ExportNotFound("There are the exports windows, ledger and events.")
        query = call.query
        pieces = exports.stream(
            export,
            organization=organization,
            shape=query.format,
            since=query.since.value if query.since else None,
            until=query.until.value if query.until else None,
        )
        return StreamingHttpResponse(
            pieces,
            content_type=f"{_MEDIA[query.format]}; charset=utf-8",
            headers={
                "Cache-Control": "no-store",
                "Content-Disposition": f'attachment; filename="{organization.slug}-{export}.{query.format}"',
                # A proxy that gathers an answer before it passes it on would hold all of it.
                "X-Accel-Buffering": "no",
            },
        )
