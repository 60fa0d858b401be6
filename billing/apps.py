from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Billing"

    def ready(self) -> None:
        from billing.emitters import signals
        from billing.infra import second_wall
        from billing.invoicing import followers
        from billing.lifecycle.collecting import operations as collecting_operations
        from billing.lifecycle.purchasing import operations as purchasing_operations

        followers.register(collecting_operations.follow)
        followers.register(purchasing_operations.follow)
        signals.connect()
        second_wall.stand_by()
