"""How people sign in: django-allauth, by e-mail address, in our own pages."""

import environ

env = environ.Env()

AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
LOGIN_URL = "/account/login/"
LOGIN_REDIRECT_URL = "/dashboard/"
LOGOUT_REDIRECT_URL = "/"

ACCOUNT_ADAPTER = "marketplace.accounts.adapter.AccountAdapter"
_FORMS = "marketplace.accounts.forms"
ACCOUNT_FORMS = {
    "signup": f"{_FORMS}.SignUpForm",
    "login": f"{_FORMS}.SignInForm",
    "reset_password": f"{_FORMS}.ResetForm",
    "reset_password_from_key": f"{_FORMS}.NewPasswordForm",
    "change_password": f"{_FORMS}.ChangePasswordForm",
    "add_email": f"{_FORMS}.EmailForm",
    "reauthenticate": f"{_FORMS}.PasswordAgainForm",
    "confirm_email_verification_code": f"{_FORMS}.EmailCodeForm",
}
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
# Who owns an account is told of every change to how it is entered.
ACCOUNT_EMAIL_NOTIFICATIONS = True
# Such changes want a password or code given within the last minutes.
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300

# Without a mail server nobody could confirm an address, the operator included.
BILLING_EMAIL_VERIFICATION = env.str(
    "BILLING_EMAIL_VERIFICATION", default="mandatory" if env.str("EMAIL_URL", default="") else "optional"
)
ACCOUNT_EMAIL_VERIFICATION = BILLING_EMAIL_VERIFICATION
# A code typed into the page where the sign-up began; by a link where it need not be confirmed at once.
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = BILLING_EMAIL_VERIFICATION == "mandatory"
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = True
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_TIMEOUT = 600

# Guesses, counted in the cache: per address of the network, and per account, whose right password is then refused too.
ACCOUNT_RATE_LIMITS = {"login_failed": "10/m/ip,5/5m/key"}
# How many proxies of one's own stand before the server. What X-Forwarded-For says beyond those, anybody can write.
BILLING_TRUSTED_PROXIES = env.int("BILLING_TRUSTED_PROXIES", default=0)

# Hours after which a session is over: since the sign-in, and since it was last used.
BILLING_SESSION_HOURS = env.int("BILLING_SESSION_HOURS", default=336)
BILLING_SESSION_IDLE_HOURS = env.int("BILLING_SESSION_IDLE_HOURS", default=72)
BILLING_STAFF_SESSION_HOURS = env.int("BILLING_STAFF_SESSION_HOURS", default=12)
BILLING_STAFF_SESSION_IDLE_HOURS = env.int("BILLING_STAFF_SESSION_IDLE_HOURS", default=1)

MFA_ADAPTER = "marketplace.accounts.adapter.SecondFactorAdapter"
MFA_FORMS = {
    "authenticate": f"{_FORMS}.CodeForm",
    "reauthenticate": f"{_FORMS}.CodeAgainForm",
    "activate_totp": f"{_FORMS}.SetUpForm",
}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "Countinghouse"
# A clock that is off by half a minute still signs in; a code counts once all the same.
MFA_TOTP_TOLERANCE = 1
MFA_RECOVERY_CODES_SHOW_ONCE = True
# Otherwise somebody could sign up with another's address and lock its owner out for good.
MFA_ALLOW_UNVERIFIED_EMAIL = BILLING_EMAIL_VERIFICATION != "mandatory"
# Staff go nowhere before they have given a second factor.
BILLING_STAFF_SECOND_FACTOR = env.bool("BILLING_STAFF_SECOND_FACTOR", default=True)
