"""E-mail to organizations: written as rows in the transaction of what it tells of, sent by a worker afterwards.

A row names what it is about, so nothing is told twice. It is not a mailbox: nothing is received, and what is not sent
says why.
"""
