"""``python -m benchmarks.roles``: who may call what, from the server's own tables, into the guide."""

from pathlib import Path
from typing import get_args

from bottega.server.access import ROLES, WHOLE, Grant
from bottega.server.table import TABLE
from bottega.service.keys import Role

GUIDE = Path(__file__).parents[1] / "docs/guides/serve.md"
BEGIN, END = "<!-- roles: python -m benchmarks.roles -->", "<!-- /roles -->"


def table() -> str:
    """One line for each grant: its routes, the roles that have it, and whether a role in a project may have it."""
    roles: tuple[Role, ...] = get_args(Role)
    rows = [
        f"| grant | routes | {' | '.join(roles)} | in a project |",
        "|---|---|" + "---|" * (len(roles) + 1),
    ]
    for grant in get_args(Grant):
        routes: dict[str, list[str]] = {}
        for route in TABLE:
            if route.grant == grant:
                routes.setdefault(route.path.replace("{*", "{"), []).append(route.method)
        told = ", ".join(f"{' '.join(methods)} `{path}`" for path, methods in routes.items())
        marks = " | ".join("yes" if grant in ROLES[role] else "" for role in roles)
        rows.append(f"| `{grant}` | {told} | {marks} | {'' if grant in WHOLE else 'yes'} |")
    return "\n".join(rows)


def written(document: str) -> str:
    """A document with the table as it now is."""
    head, _, rest = document.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{table()}\n{END}{tail}"


if __name__ == "__main__":
    GUIDE.write_text(written(GUIDE.read_text("utf-8")), "utf-8")
