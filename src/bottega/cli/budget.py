"""`bottega budget`."""

from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from bottega.service.budgets import Account
    from bottega.storage.accounts import Period


@click.group()
def command() -> None:
    """What accounts may spend, and what they have spent."""


@command.command("set")
@click.argument("account")
@click.option(
    "--unit", default="usd", show_default=True, help="usd, token, image, second, mesh, compute_second."
)
@click.option("--limit", required=True, help="The most that may be spent, in that unit.")
@click.option("--near", default="0.8", show_default=True, help="Ask a person once this share is spent.")
@click.option(
    "--period",
    type=click.Choice(["total", "month", "day", "hour", "minute"]),
    default="total",
    show_default=True,
    help="Count anew every month, day, hour or minute (UTC); of the last two, work waits for the next.",
)
@click.option("--why", default="", help="A reason for the record.")
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def set_(
    account: str,
    unit: str,
    limit: str,
    near: str,
    period: "Period",
    why: str,
    machine: bool,
) -> None:
    """Set the limit of ACCOUNT: key:NAME, team:NAME or project:NAME."""
    _change(account, unit, limit, machine, near=near, period=period, why=why)


@command.command()
@click.argument("account")
@click.option("--unit", default="usd", show_default=True, help="The unit whose limit goes.")
@click.option("--why", default="", help="A reason for the record.")
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def remove(account: str, unit: str, why: str, machine: bool) -> None:
    """Take the limit of ACCOUNT away; it goes on counting."""
    _change(account, unit, None, machine, why=why)


@command.command("list")
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def list_(machine: bool) -> None:
    """List accounts: limit, spent, reserved, left."""
    from bottega.bootstrap import build
    from bottega.cli.show import as_json

    service = build()
    found = service.budgets().all()
    service.close()
    if machine:
        return as_json([_facts(each) for each in found])
    _table(found)


@command.command()
@click.argument("account")
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def show(account: str, machine: bool) -> None:
    """Show ACCOUNT and everything that happened to it."""
    from bottega.bootstrap import build
    from bottega.cli.show import as_json, table
    from bottega.storage.budgets import shown

    service = build()
    found, entries = service.budgets().show(account)
    service.close()
    if machine:
        return as_json(
            {"units": [_facts(each) for each in found], "entries": [entry.document() for entry in entries]}
        )
    _table(found)
    rows = [
        (
            str(entry.n),
            entry.at,
            entry.act.value.rpartition(":")[2],
            ", ".join(shown(amount, unit) for unit, amount in entry.cost.items() if amount)
            or _limit(entry.detail),
            str(entry.detail.get("for", entry.actor)),
            entry.why,
        )
        for entry in entries
    ]
    table("Entries", ("n", "at", "what", "amounts", "for", "why"), rows)


def _change(account: str, unit: str, limit: str | None, machine: bool, **how: Any) -> None:
    from bottega.bootstrap import build
    from bottega.cli.files import warn
    from bottega.cli.show import as_json

    service = build()
    waiting = service.budgets().set(account, unit, limit, **how)
    found = service.budgets().show(account)[0]
    warn(service.audit.attest())
    service.close()
    if machine:
        return as_json({"units": [_facts(each) for each in found], "runs": waiting})
    _table(found)
    for run in waiting:
        click.echo(f"run {run} waited for it; a worker goes on with it, or:  bottega resume {run}")


def _table(found: "list[Account]") -> None:
    from bottega.cli.show import table

    rows = [
        (
            each.account,
            each.unit,
            _plain(each.limit) + ("" if each.period == "total" else f" a {each.period}"),
            _plain(each.spent),
            _plain(each.reserved),
            _plain(each.left),
            each.state,
        )
        for each in found
    ]
    table("Budgets", ("account", "unit", "limit", "spent", "reserved", "left", "state"), rows)


def _facts(account: "Account") -> dict[str, Any]:
    """Amounts as decimal text, so that no program rounds them."""
    return {
        name: _plain(value) if isinstance(value, Decimal) else value
        for name, value in asdict(account).items()
    }


def _plain(amount: Decimal | None) -> str:
    if amount is None:
        return "-"
    digits = f"{amount:f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _limit(detail: dict[str, Any]) -> str:
    from bottega.storage.budgets import shown

    if "unit" not in detail:
        return "-"
    return "no limit" if detail["limit"] is None else f"limit {shown(detail['limit'], detail['unit'])}"
