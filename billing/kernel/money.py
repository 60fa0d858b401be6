"""Money: settled amounts are integers of minor units with an ISO 4217 currency.

Rates are decimals in major units with a ``per`` ("0.15" per "1000000"). An amount is rounded once, half to even, when
a line is made: never per event and never twice.
"""

from __future__ import annotations

from decimal import Decimal

from billing.kernel.decimals import EXACT

# ISO 4217 active codes by number of minor digits. The few with four digits (CLF, UYW) are units of account.
_NO_MINOR = frozenset("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split())
_THREE_DIGITS = frozenset("BHD IQD JOD KWD LYD OMR TND".split())
_TWO_DIGITS = frozenset(
    """AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP
    CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD
    KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK
    NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS
    TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW ZWG""".split()
)
EXPONENTS: dict[str, int] = (
    dict.fromkeys(_TWO_DIGITS, 2) | dict.fromkeys(_NO_MINOR, 0) | dict.fromkeys(_THREE_DIGITS, 3)
)
# Largest settled amount, either sign: BIGINT has room for sums of a million such.
AMOUNT_MAX_MINOR = 9_000_000_000_000


def exponent(currency: str) -> int:
    """Number of minor digits of an ISO 4217 code: JPY 0, USD 2, KWD 3. ``KeyError`` for an unknown code."""
    return EXPONENTS[currency]


def is_currency(code: str) -> bool:
    return code in EXPONENTS


def to_minor(amount: Decimal, currency: str) -> int:
    """Settle ``amount`` (major units) as integer minor units, rounding half to even: the one rounding of a line."""
    return int(EXACT.to_integral_value(EXACT.scaleb(amount, exponent(currency))))


def to_minor_exact(amount: Decimal, currency: str) -> int:
    """As ``to_minor`` but ``ValueError`` if anything would be rounded: for amounts that a person wrote."""
    minor = to_minor(amount, currency)
    if to_major(minor, currency) != amount:
        raise ValueError(f"has more decimals than {currency} has minor units ({exponent(currency)})")
    return minor


def to_major(minor: int, currency: str) -> Decimal:
    return EXACT.scaleb(Decimal(minor), -exponent(currency))


def format_minor(minor: int, currency: str) -> str:
    """Minor units as a decimal string for the wire, with all minor digits: ``(5162, "USD")`` → ``"51.62"``."""
    return str(to_major(minor, currency))
