"""Credits that customers buy: ordered, paid for at the provider, granted with the payment, once.

An order is never a debt. Nothing is granted before its invoice is paid, and nobody is reminded of it: who does not pay
finds it withdrawn.
"""
