"""Under ``/account/``: allauth's pages by the names that it knows them by, those of them that we have."""

from allauth.account import app_settings
from allauth.account import views as account
from allauth.mfa.base import views as factor
from allauth.mfa.recovery_codes import views as recovery
from allauth.mfa.totp import views as totp
from django.urls import path, register_converter
from django.urls.converters import StringConverter

from marketplace.accounts import session_pages
from marketplace.accounts.views import SetUpView, served


class Word(StringConverter):
    """Ends before the hyphen that parts it from what follows."""

    regex = "[0-9A-Za-z]+"


register_converter(Word, "word")

urlpatterns = [
    path("signup/", served(account.signup), name="account_signup"),
    path("login/", served(account.login), name="account_login"),
    path("logout/", served(account.logout), name="account_logout"),
    path("inactive/", served(account.account_inactive), name="account_inactive"),
    path("reauthenticate/", served(account.reauthenticate), name="account_reauthenticate"),
    path("email/", served(account.email), name="account_email"),
    path("confirm-email/", served(account.email_verification_sent), name="account_email_verification_sent"),
    path("sessions/", served(session_pages.sessions_page), name="account_sessions"),
    path("password/change/", served(account.password_change), name="account_change_password"),
    path("password/set/", served(account.password_set), name="account_set_password"),
    path("password/reset/", served(account.password_reset), name="account_reset_password"),
    path("password/reset/done/", served(account.password_reset_done), name="account_reset_password_done"),
    path(
        "password/reset/key/<word:uidb36>-<str:key>/",
        served(account.password_reset_from_key),
        name="account_reset_password_from_key",
    ),
    path(
        "password/reset/key/done/",
        served(account.password_reset_from_key_done),
        name="account_reset_password_from_key_done",
    ),
    path("2fa/", served(factor.index), name="mfa_index"),
    path("2fa/authenticate/", served(factor.authenticate), name="mfa_authenticate"),
    path("2fa/reauthenticate/", served(factor.reauthenticate), name="mfa_reauthenticate"),
    path("2fa/totp/activate/", served(SetUpView.as_view()), name="mfa_activate_totp"),
    path("2fa/totp/deactivate/", served(totp.deactivate_totp), name="mfa_deactivate_totp"),
    path("2fa/recovery-codes/", served(recovery.view_recovery_codes), name="mfa_view_recovery_codes"),
    path("2fa/recovery-codes/generate/", served(recovery.generate_recovery_codes), name="mfa_generate_recovery_codes"),
]
if not app_settings.EMAIL_VERIFICATION_BY_CODE_ENABLED:
    urlpatterns.append(path("confirm-email/<str:key>/", served(account.confirm_email), name="account_confirm_email"))
