"""The table of pages: every URL of the project for people, who opens it and what is answered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

# URL as the project declares it, who opens it, and what stands for its parameters where that is not what the stage
# names; a number is the status that is answered. Instead of somebody who opens it: "act" is sent by a button and leads
# to a page, "onward" leads to a page, "file" is no page, "own" has a test of its own.
TABLE = """
/                                                   nobody
/                                                   owner
plans/<plan_code>                                   nobody
plans/<plan_code>                                   nobody      plan_code=free
plans/<plan_code>                                   nobody      plan_code=nowhere 404
compare                                             nobody
listings                                            nobody
listings?q=ledger                                   nobody
listings?q=nothing-at-all                           nobody
listings/<listing_slug>                             nobody
listings/<listing_slug>/images/<image_id>           file
account/signup/                                     nobody
account/login/                                      nobody
account/logout/                                     owner
account/inactive/                                   nobody
account/confirm-email/                              onward
account/password/reset/                             nobody
account/password/reset/done/                        nobody
account/password/reset/key/<uidb36>-<key>/          nobody      uidb36=x key=y-z
account/password/reset/key/done/                    nobody
account/reauthenticate/                             owner
account/email/                                      owner
account/sessions/                                   owner
account/password/change/                            owner
account/password/set/                               onward
account/2fa/                                        owner
account/2fa/authenticate/                           onward
account/2fa/reauthenticate/                         onward
account/2fa/totp/activate/                          owner
account/2fa/totp/deactivate/                        onward
account/2fa/recovery-codes/                         onward
account/2fa/recovery-codes/generate/                onward
invitations/<token>                                 nobody
invitations/<token>                                 stranger
invitations/<token>                                 nobody      token=x 410
subscribe/<plan_code>                               owner       plan_code=team
subscribe/<plan_code>                               stranger
dashboard/                                          onward
dashboard/                                          stranger
dashboard/<slug>/                                   owner
dashboard/<slug>/                                   member
dashboard/<slug>/                                   staff-finance
dashboard/<slug>/                                   owner       slug=demo-empty
dashboard/<slug>/                                   owner       slug=demo-waits
dashboard/<slug>/                                   owner       slug=demo-free
dashboard/<slug>/                                   owner       slug=nowhere 404
dashboard/<slug>/invoices/<invoice_id>/             owner
dashboard/<slug>/invoices/<invoice_id>/             owner       slug=demo-drafted invoice_id=$draft_id
dashboard/<slug>/invoices/<invoice_id>/             owner       invoice_id=$ordered_id
dashboard/<slug>/invoices/                          owner
dashboard/<slug>/invoices/                          finance
dashboard/<slug>/invoices/                          owner       slug=demo-empty
dashboard/<slug>/usage/                             owner
dashboard/<slug>/usage/                             owner       slug=demo-empty
dashboard/<slug>/credits/                           owner
dashboard/<slug>/credits/                           owner       slug=demo-empty
dashboard/<slug>/credits/purchases/                 owner
dashboard/<slug>/credits/purchases/                 finance
dashboard/<slug>/credits/purchases/                 owner       slug=demo-empty
dashboard/<slug>/credits/purchases/<purchase_id>/   owner
dashboard/<slug>/credits/purchases/<purchase_id>/   owner       purchase_id=$bought_id
dashboard/<slug>/credits/purchases/order/           act
dashboard/<slug>/credits/purchases/<purchase_id>/pay/  act
dashboard/<slug>/credits/purchases/<purchase_id>/withdraw/  act
dashboard/<slug>/refusals/                          owner       slug=demo-free
dashboard/<slug>/refusals/                          owner       slug=demo-empty
dashboard/<slug>/webhooks/                          owner
dashboard/<slug>/webhooks/                          owner       slug=demo-empty
dashboard/<slug>/webhooks/<endpoint_id>/            owner
dashboard/<slug>/webhooks/<endpoint_id>/pause/      act
dashboard/<slug>/webhooks/<endpoint_id>/resume/     act
dashboard/<slug>/webhooks/<endpoint_id>/test/       act
dashboard/<slug>/webhooks/<endpoint_id>/delete/     act
dashboard/<slug>/webhooks/<endpoint_id>/messages/<message_id>/redeliver/  act
dashboard/<slug>/webhooks/<endpoint_id>/messages/<message_id>/skip/  act
dashboard/<slug>/guardrails/                        owner
dashboard/<slug>/guardrails/                        owner       slug=demo-empty
dashboard/<slug>/plan/                              owner
dashboard/<slug>/plan/                              member
dashboard/<slug>/plan/                              owner       slug=demo-empty
dashboard/<slug>/plan/preview/                      act
dashboard/<slug>/plan/change/                       act
dashboard/<slug>/plan/cancel/                       act
dashboard/<slug>/plan/keep/                         act
dashboard/<slug>/plan/coupon/                       act
dashboard/<slug>/plan/pay/                          act
dashboard/<slug>/desk/                              staff-finance
dashboard/<slug>/desk/preview/                      act
dashboard/<slug>/desk/draft/                        act
dashboard/<slug>/desk/credits/                      act
dashboard/<slug>/members/                           owner
dashboard/<slug>/members/                           owner       slug=demo-empty
dashboard/<slug>/members/invite/                    act
dashboard/<slug>/members/<user_id>/role/            act
dashboard/<slug>/members/<user_id>/remove/          act
dashboard/<slug>/invitations/<invitation_id>/revoke/  act
dashboard/<slug>/keys/                              owner
dashboard/<slug>/keys/                              owner       slug=demo-empty
dashboard/<slug>/keys/<key_id>/revoke/              act
partner/                                            onward
partner/                                            stranger
partner/<partner_slug>/                             owner
partner/<partner_slug>/new                          owner
partner/<partner_slug>/members                      owner
partner/<partner_slug>/listings/<listing_slug>/     owner
partner/<partner_slug>/listings/<listing_slug>/     owner       listing_slug=spreadsheet-sync
partner/<partner_slug>/listings/<listing_slug>/edit  owner
review/                                             staff-marketplace
review/                                             stranger    403
review/partners                                     staff-marketplace
review/listings/<listing_slug>/                     staff-marketplace  listing_slug=residency-audit
review/listings/<listing_slug>/                     staff-marketplace  listing_slug=quota-lookout
payments/portal/<token>                             nobody      token=$portal
payments/portal/<token>                             nobody      token=x 410
payments/portal/<token>/charges/<charge_id>         act
payments/checkout/<token>                           nobody      token=$checkout
payments/orders/<token>                             nobody      token=$order
admin/                                              onward
api/docs                                            own
"""
NO_PAGE = {"act", "onward", "file", "own"}
# Programs' addresses, and the desk, whose pages have a test of their own.
ELSEWHERE = re.compile(r"(api/(?!docs$)|healthz|readyz|internal/|admin/.)")


class Row(NamedTuple):
    path: str
    query: str
    who: str
    names: Mapping[str, str]
    status: int

    def __str__(self) -> str:
        chosen = [f"{name}={value}" for name, value in self.names.items()]
        return " ".join([f"/{self.path}{self.query}", self.who, *chosen])

    def url(self, known: Mapping[str, str]) -> str:
        names = {**known, **{name: known.get(value[1:], value) for name, value in self.names.items()}}
        return "/" + re.sub(r"<(\w+)>", lambda found: names[found[1]], self.path) + self.query


def read(line: str) -> Row:
    url, who, *rest = line.split()
    path, mark, query = url.removeprefix("/").partition("?")
    names = dict(each.split("=", 1) for each in rest if "=" in each)
    return Row(path, mark + query, who, names, next((int(each) for each in rest if each.isdigit()), 200))


ROWS = [read(line) for line in TABLE.strip().splitlines()]
