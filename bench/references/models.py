"""Tables of a recording as most would write it first: exact under its row locks, one ORM call for each step."""

from __future__ import annotations

from django.db import models


class NaiveOrganization(models.Model):
    slug = models.SlugField(unique=True)


class NaiveKey(models.Model):
    digest = models.CharField(max_length=64, unique=True)
    is_active = models.BooleanField(default=True)


class NaiveSubscription(models.Model):
    organization = models.OneToOneField(NaiveOrganization, on_delete=models.PROTECT)
    status = models.CharField(max_length=20, default="active")
    plan = models.CharField(max_length=60, default="bench")


class NaiveLimit(models.Model):
    plan = models.CharField(max_length=60)
    meter = models.CharField(max_length=60)
    limit = models.DecimalField(max_digits=20, decimal_places=6, null=True)
    credits_per_unit = models.DecimalField(max_digits=20, decimal_places=6)


class NaiveCounter(models.Model):
    organization = models.ForeignKey(NaiveOrganization, on_delete=models.PROTECT)
    meter = models.CharField(max_length=60)
    window = models.CharField(max_length=20)
    used = models.DecimalField(max_digits=20, decimal_places=6, default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "meter", "window"], name="naive_one_counter")]


class NaiveAccount(models.Model):
    organization = models.OneToOneField(NaiveOrganization, on_delete=models.PROTECT)
    balance = models.DecimalField(max_digits=20, decimal_places=6)


class NaiveEvent(models.Model):
    organization = models.ForeignKey(NaiveOrganization, on_delete=models.PROTECT)
    meter = models.CharField(max_length=60)
    quantity = models.DecimalField(max_digits=20, decimal_places=6)
    source = models.CharField(max_length=60)
    key = models.CharField(max_length=200)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "source", "key"], name="naive_one_event")]


class NaiveEntry(models.Model):
    account = models.ForeignKey(NaiveAccount, on_delete=models.PROTECT)
    event = models.ForeignKey(NaiveEvent, on_delete=models.PROTECT)
    amount = models.DecimalField(max_digits=20, decimal_places=6)
    balance_after = models.DecimalField(max_digits=20, decimal_places=6)


class DraftedInvoice(models.Model):
    """An invoice as each of the other ways to draft writes it: the product's columns, without its checks."""

    way = models.CharField(max_length=20)
    subscription_id = models.UUIDField()
    period_id = models.UUIDField()
    currency = models.CharField(max_length=3)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    subtotal_minor = models.BigIntegerField(default=0)
    tax_minor = models.BigIntegerField(default=0)
    total_minor = models.BigIntegerField(default=0)
    drafted_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["way", "period_id"], name="drafted_once")]


class DraftedLine(models.Model):
    invoice = models.ForeignKey(DraftedInvoice, on_delete=models.CASCADE, related_name="lines")
    position = models.PositiveIntegerField()
    charge = models.CharField(max_length=10)
    description = models.CharField(max_length=300)
    meter = models.CharField(max_length=60, null=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    quantity = models.DecimalField(max_digits=26, decimal_places=6)
    rate = models.DecimalField(max_digits=30, decimal_places=12)
    per = models.DecimalField(max_digits=20, decimal_places=6, default=1)
    amount_minor = models.BigIntegerField()
    details = models.JSONField(default=dict)
