"""The OpenAPI document, and a page to read it on."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from billing.api import schema


@require_safe
def schema_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(schema.document(), content_type="application/vnd.oai.openapi+json;version=3.1")


@require_safe
def docs_view(request: HttpRequest) -> HttpResponse:
    """Swagger UI from our own static files, on a page of ours: its own holds a style in place, which the content policy
    forbids."""
    return render(request, "api/docs.html", {"schema_url": reverse("api-schema")})
