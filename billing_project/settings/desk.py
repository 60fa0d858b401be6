"""The desk at ``/admin/``: its look, by django-unfold, and what it asks of whoever acts there."""

from typing import Any

from django.templatetags.static import static

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Countinghouse",
    "SITE_HEADER": "Countinghouse",
    "SITE_SUBHEADER": "The desk of finance",
    "SITE_SYMBOL": "account_balance",
    "SITE_URL": "/",
    # The admin's own log knows nothing of what other doors did: each object's page shows the audit log.
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": [
        lambda request: static("countinghouse/desk-frame.css"),
        lambda request: static("countinghouse/desk.css"),
    ],
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("countinghouse/mark.svg")}
    ],
    "DASHBOARD_CALLBACK": "billing.admin.start.dashboard",
    "SIDEBAR": {"navigation": "billing.admin.navigation.sidebar"},
    "COLORS": {
        # Dark enough to be read as text and under white letters.
        "primary": {
            "50": "oklch(97% .014 254)",
            "100": "oklch(93% .032 255)",
            "200": "oklch(88% .059 254)",
            "300": "oklch(81% .105 252)",
            "400": "oklch(71% .165 255)",
            "500": "oklch(62% .19 260)",
            "600": "oklch(54% .2 262)",
            "700": "oklch(48% .19 263)",
            "800": "oklch(42% .16 264)",
            "900": "oklch(37% .13 265)",
            "950": "oklch(28% .09 267)",
        },
    },
}

# Where a function is that sends somebody who acts on the desk to sign in again, unless they did so lately.
BILLING_FRESH_SIGN_IN = "marketplace.accounts.freshness.ask_again"
# The same question where nobody can be sent anywhere: calls of the API by a session.
BILLING_IS_FRESH = "marketplace.accounts.freshness.is_fresh"
