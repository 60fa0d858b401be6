"""What can be bought: ``plans.yaml`` read strictly, kept as immutable plan versions, compiled for decisions.

Owns meters, plan versions, entitlements, prices and the shop's view of them. It knows who is subscribed only to tell
what a change touches; moving subscribers between versions is for ``lifecycle``.
"""
