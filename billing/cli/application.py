"""The command tree, and the one place where errors become exit codes and sentences."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import click

from billing.cli import environment, exits
from billing.cli.environment import Unavailable
from billing.cli.exits import Exit
from billing.kernel.errors import BillingError, Busy

DEFAULT_DATA = ".data"
_NAME = "mcpctl"

# Help is made from this table alone: a command's module needs Django, which takes a second to start.
COMMANDS: Mapping[str, str] = {
    "plans": "The catalog: check, compare and sync plans.yaml, list plans, migrate subscribers.",
    "tenants": "Organizations: bootstrap and list them.",
    "subscription": "Show, set or cancel an organization's subscription.",
    "posture": "Plan, limits, use, credits and next renewal on one screen.",
    "quota": "Ask whether a use would be admitted.",
    "usage": "Record, show, take back and import use.",
    "guardrails": "Held debits: list, clear, reject; use by flag.",
    "credits": "Show, adjust and void credits, read the ledger.",
    "coupons": "Create, list and retire coupons.",
    "invoices": "Draft, issue, show, settle and void invoices.",
    "credit-notes": "List and show credit notes.",
    "balance": "Show and pay out an organization's money balance.",
    "dunning": "Unpaid invoices: what was tried, retry, stop.",
    "mail": "What was written to organizations; send it again.",
    "keys": "Create, list and revoke API keys.",
    "webhooks": "Webhook endpoints: make, pause, test and replay.",
    "providers": "Payment providers: what they told, replay it, reconcile use.",
    "clock": "Move a sandbox organization's clock.",
    "export": "Windows, credit ledger or events for an auditor.",
    "privacy": "Export or erase a person's data, forget payloads of use.",
    "verify": "Re-sum the books; silent when all is well.",
}
# Commands that other apps of the project bring: their configs say in ``mcpctl_commands`` which module has them.
APP_COMMANDS: Mapping[str, str] = {
    "partners": "Partners of the marketplace: make and list them, add members.",
    "listings": "Partner listings: list, publish, reject, suspend, restore.",
}


class _Problem(NamedTuple):
    """An error as it is shown: ``errors`` as in the API's problem details."""

    exit: Exit
    code: str
    detail: str
    errors: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()


class _Application(click.Group):
    """The root. However a command ends, it ends here with one of the exit codes of ``exits``."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        arguments = list(sys.argv[1:] if args is None else args)
        as_json = "--json" in arguments
        try:
            code = super().main(arguments, prog_name or _NAME, complete_var, standalone_mode=False, **extra)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader of a pipe went away; the interpreter must not complain about that on its way out.
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(Exit.REFUSED)
        except click.UsageError as error:
            if not as_json:
                error.show()
                sys.exit(Exit.BAD_INPUT)
            _refuse(_Problem(Exit.BAD_INPUT, "usage", error.format_message()), as_json=True)
        except Exception as error:
            problem = _problem_of(error)
            if problem is None:
                raise
            _refuse(problem, as_json=as_json)
        sys.exit(code or Exit.OK)


class _Billing(click.Group):
    """Loads a command's module when the command is called, after Django was started for it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *APP_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        environment.set_up(ctx.params.get("data") or Path(DEFAULT_DATA))
        module = f"billing.cli.commands.{cmd_name.replace('-', '_')}" if cmd_name in COMMANDS else _of_app(cmd_name)
        command: click.Command = import_module(module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items(), *APP_COMMANDS.items()])


@click.group(cls=_Application, name=_NAME)
def mcpctl() -> None:
    """Operate this installation from the shell."""


@mcpctl.group(cls=_Billing)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="DATA",
    default=DEFAULT_DATA,
    show_default=True,
    help="Data folder of `make run`, whose run.json names the database. DATABASE_URL comes first.",
)
def billing(data: Path) -> None:
    """Plans, tenants, quotas, use, credits and invoices.

    Every command takes --json. Exit codes: 0 done, 1 refused or violations found, 2 bad input, 3 not found,
    4 conflict, 5 busy or unavailable.
    """


def main() -> NoReturn:
    """The console script."""
    mcpctl.main()


def _of_app(name: str) -> str:
    """The module that an app brings the command in."""
    from django.apps import apps

    found: Mapping[str, str] = {}
    for each in apps.get_app_configs():
        found = {**found, **getattr(each, "mcpctl_commands", {})}
    if name not in found:
        raise Unavailable(f"No app of this installation brings the command {name}.")
    return found[name]


def _problem_of(error: Exception) -> _Problem | None:
    """How an expected error is shown; None for a defect, which must be loud."""
    if isinstance(error, BillingError):
        return _of_billing(error)
    if isinstance(error, Unavailable):
        return _Problem(Exit.UNAVAILABLE, "unavailable", str(error))
    if isinstance(error, click.Abort):
        return _Problem(Exit.INTERRUPTED, "interrupted", "Interrupted.")
    if isinstance(error, click.ClickException):
        return _Problem(Exit.BAD_INPUT, "usage", error.format_message())
    return _of_database(error)


def _of_billing(error: BillingError) -> _Problem:
    details = error.details
    errors = details.get("problems") or ()
    if details.get("field"):
        errors = [{"field": str(details["field"]), "code": error.code, "message": error.message}]
    notes = [str(details["note"])] if details.get("note") else []
    return _Problem(exits.of(error), error.code, error.message, errors, notes)


def _of_database(error: Exception) -> _Problem | None:
    # Whoever raised one of these has loaded Django.
    from django.db import InterfaceError, OperationalError, ProgrammingError
    from psycopg import errors as pg_errors

    if isinstance(error, ProgrammingError) and isinstance(error.__cause__, pg_errors.UndefinedTable):
        return _Problem(
            Exit.UNAVAILABLE,
            "unavailable",
            "The database has not been prepared: start the product with `make run`, or run `manage.py migrate`.",
        )
    if not isinstance(error, OperationalError | InterfaceError):
        return None
    if isinstance(error.__cause__, pg_errors.LockNotAvailable | pg_errors.DeadlockDetected):
        return _Problem(Exit.UNAVAILABLE, Busy.code, "The books are in use by another request; try again.")
    reason = (str(error).strip().splitlines() or ["no reason given"])[0]
    return _Problem(Exit.UNAVAILABLE, "unavailable", f"The database cannot be reached: {reason}")


def _refuse(problem: _Problem, *, as_json: bool) -> NoReturn:
    if as_json:
        document: dict[str, Any] = {
            "type": f"urn:countinghouse:problem:{problem.code}",
            "title": problem.exit.name.replace("_", " ").capitalize(),
            "detail": problem.detail,
            "code": problem.code,
            "exit_code": int(problem.exit),
        }
        if problem.errors:
            document["errors"] = list(problem.errors)
        if problem.notes:
            document["notes"] = list(problem.notes)
        click.echo(json.dumps(document, ensure_ascii=False), err=True)
    else:
        click.echo(f"{_NAME}: {problem.detail}", err=True)
    sys.exit(problem.exit)
