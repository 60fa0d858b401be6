from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Billing"

    def ready(self) -> None:
        from billing.emitters import signals
        from billing.invoicing import followers
        from billing.lifecycle.collecting import operations as collecting_operations

        followers.register(collecting_operations.follow)
        signals.connect()
