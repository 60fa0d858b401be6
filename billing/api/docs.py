"""The OpenAPI document, and a page to read it on."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from drf_spectacular.views import SpectacularSwaggerSplitView

from billing.api import schema


@require_safe
def schema_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(schema.document(), content_type="application/vnd.oai.openapi+json;version=3.1")


class DocsView(SpectacularSwaggerSplitView):
    """Swagger UI from our own static files, its script apart from the page, as the content policy demands."""

    authentication_classes = ()
    permission_classes = ()
    url_name = "api-schema"
