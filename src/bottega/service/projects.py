"""Projects and their teams: where keys and people have their roles, and which accounts pay."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bottega.core.entry import Act
from bottega.core.errors import InvalidValue, NotFound, PolicyDenied
from bottega.storage.state import State

NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,62}$")


@dataclass(frozen=True)
class Project:
    """A project; ``team`` is "" when it has none. What a closed one had asked for stays, its keys are refused."""

    id: str
    team: str
    closed: bool


class Projects:
    """Sets and shows projects."""

    def __init__(self, state: State, actor: str) -> None:
        self._state = state
        self._actor = actor

    def set(self, project: str, *, team: str = "", closed: bool = False, why: str = "") -> Project:
        """Make a project, give it to a team, close it or open it again; durable when this returns.

        Its keys are charged to ``project:ID`` and ``team:TEAM`` from their next call on, each in full.

        Raises:
            InvalidValue: this cannot be a name.
        """
        for where, name in (("project", project), ("team", team)):
            if (name or where == "project") and not NAME.match(name):
                raise InvalidValue(
                    f"'{name[:80]}' cannot name a {where}", where=where, remedy="a-z, 0-9, - _ and ."
                )
        self._state.journal.write(
            Act.PROJECT_SET, f"project/{project}", actor=self._actor, why=why,
            detail={"team": team, "closed": closed}, durable=True,
        )  # fmt: skip
        return self.get(project)

    def all(self) -> list[Project]:
        """Every project, by name."""
        rows = self._state.database.rows("SELECT id, team, closed FROM projects ORDER BY id")
        return [Project(name, team, bool(closed)) for name, team, closed in rows]

    def get(self, project: str) -> Project:
        """One of them.

        Raises:
            NotFound: there is none.
        """
        found = [each for each in self.all() if each.id == project]
        if not found:
            raise NotFound(
                f"no project '{project[:80]}'", where="project", remedy="`bottega projects list` shows them"
            )
        return found[0]

    def open(self, project: str) -> Project:
        """One that is not closed.

        Raises:
            NotFound: as `get`.
            PolicyDenied: it is closed.
        """
        found = self.get(project)
        if found.closed:
            raise PolicyDenied(f"the project '{project}' is closed", where="project")
        return found


def paying(charge: Sequence[str], project: str, team: str) -> tuple[str, ...]:
    """Accounts that pay for a key's calls: its own, its project's and its team's."""
    also = [f"{kind}:{name}" for kind, name in (("project", project), ("team", team)) if name]
    return tuple(dict.fromkeys([*charge, *also]))
