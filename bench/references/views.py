"""What the product is compared with, behind the very same middleware."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from bench.references.models import (
    NaiveAccount,
    NaiveCounter,
    NaiveEntry,
    NaiveEvent,
    NaiveKey,
    NaiveLimit,
    NaiveOrganization,
    NaiveSubscription,
)
from billing.models import Plan, PlanEntitlement, PlanPrice, PricingPlan


def empty(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"{}", content_type="application/json")


class Plain(APIView):
    """REST framework as it comes, less who may ask."""

    renderer_classes = [JSONRenderer]
    authentication_classes: list[type[BaseAuthentication]] = []
    permission_classes: list[Any] = []


class EmptyGet(Plain):
    def get(self, request: Request) -> Response:
        return Response({})


class UseSerializer(serializers.Serializer[Any]):
    organization = serializers.CharField(max_length=120)
    meter = serializers.CharField(max_length=60)
    quantity = serializers.DecimalField(max_digits=20, decimal_places=6)
    idempotency_key = serializers.CharField(max_length=200)
    # A field of this name, which the framework's stubs take for an attribute of the serializer.
    source = serializers.CharField(max_length=60, default="api")  # type: ignore[assignment]
    occurred_at = serializers.DateTimeField(default=timezone.now)


class EmptyPost(Plain):
    def post(self, request: Request) -> Response:
        use = UseSerializer(data=request.data)
        use.is_valid(raise_exception=True)
        return Response(use.data, status=201)


class KeyAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[Any, NaiveKey]:
        secret = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            key = NaiveKey.objects.get(digest=hashlib.sha256(secret.encode()).hexdigest(), is_active=True)
        except NaiveKey.DoesNotExist:
            raise AuthenticationFailed from None
        return None, key


class NaiveUse(Plain):
    """One event: idempotent, within its limit, in two windows, paid by credits, in a ledger; one transaction."""

    authentication_classes = [KeyAuthentication]

    @transaction.atomic
    def post(self, request: Request) -> Response:
        use = UseSerializer(data=request.data)
        use.is_valid(raise_exception=True)
        told = use.validated_data
        organization = NaiveOrganization.objects.get(slug=told["organization"])
        subscription = NaiveSubscription.objects.get(organization=organization, status="active")
        limit = NaiveLimit.objects.get(plan=subscription.plan, meter=told["meter"])
        existing = NaiveEvent.objects.filter(
            organization=organization, source=told["source"], key=told["idempotency_key"]
        ).first()
        if existing is not None:
            return Response({"event_id": existing.id, "status": "duplicate"})
        account = NaiveAccount.objects.select_for_update().get(organization=organization)
        for window in ("month", "lifetime"):
            counter, _ = NaiveCounter.objects.select_for_update().get_or_create(
                organization=organization, meter=told["meter"], window=window
            )
            if limit.limit is not None and counter.used + told["quantity"] > limit.limit:
                return Response({"code": "quota_exceeded"}, status=402)
            counter.used += told["quantity"]
            counter.save()
        event = NaiveEvent.objects.create(
            organization=organization,
            meter=told["meter"],
            quantity=told["quantity"],
            source=told["source"],
            key=told["idempotency_key"],
            occurred_at=told["occurred_at"],
        )
        due: Decimal = told["quantity"] * limit.credits_per_unit
        account.balance -= due
        account.save()
        NaiveEntry.objects.create(account=account, event=event, amount=-due, balance_after=account.balance)
        return Response({"event_id": event.id, "status": "accepted"}, status=201)


class PriceSerializer(serializers.ModelSerializer[PlanPrice]):
    class Meta:
        model = PlanPrice
        fields = "__all__"


class EntitlementSerializer(serializers.ModelSerializer[PlanEntitlement]):
    class Meta:
        model = PlanEntitlement
        fields = "__all__"


class PlanSerializer(serializers.ModelSerializer[Plan]):
    prices = PriceSerializer(many=True)
    entitlements = EntitlementSerializer(many=True)

    class Meta:
        model = Plan
        fields = "__all__"


class PlansByPrefetch(Plain):
    def get(self, request: Request) -> Response:
        plans = Plan.objects.filter(is_current=True).prefetch_related("prices", "entitlements")
        return Response(PlanSerializer(plans, many=True).data)


def shop_by_prefetch(request: HttpRequest) -> HttpResponse:
    """A page of cards as most would write it first: a queryset in a template."""
    shown = PricingPlan.objects.select_related("plan").prefetch_related("plan__prices", "plan__entitlements")
    return render(request, "references/shop.html", {"plans": shown})
