"""What somebody typed into a form that has no Django form around it."""

from __future__ import annotations

from django.http import HttpRequest


def typed(request: HttpRequest, name: str) -> str:
    """The field ``name``, "" where it is missing. Without NUL, which no text of ours can hold."""
    return str(request.POST.get(name, "")).replace("\x00", "")
