"""A disk that is full or read-only, on a real file system of 24 MiB in a mount namespace of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ALONE = ("unshare", "-m") if os.geteuid() == 0 else ("unshare", "-Urm")

SCRIPT = """
import json, os, subprocess, sys
from hashlib import sha256
from pathlib import Path
from bottega.core.errors import StorageFailed
from bottega.governance.keyring import KeyRing
from bottega.storage.artifacts import ArtifactStore

root, how = Path(sys.argv[1]), sys.argv[2]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", root], check=True)
store = ArtifactStore(root / "artifacts", root / "cache")
outer = store
if how == "sealed":
    store = outer.sealed(bytes(32))
ring = KeyRing(root / "keys")
small = store.put(b"small", "text/plain")
store.locate(small)  # sealed, it takes room to open: this is done before there is none
ring.key("ada", create=True)
large = os.urandom(3 << 20)
source = root.with_name("source")
source.write_bytes(large)

def files():
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())

def tried(act):
    try:
        act()
    except StorageFailed as error:
        return str(error)
    return "worked"

puts = {
    "put": lambda: store.put(large, "video/mp4"),
    "file": lambda: store.put_file(source, "video/mp4"),
    "stream": lambda: store.put_stream([large], "video/mp4"),
    "key": lambda: ring.key("bob", create=True),
}
filler = root / "filler"
if how == "read-only":
    subprocess.run(["mount", "-o", "remount,ro", root], check=True)
else:
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
before = files()
said = {name: tried(act) for name, act in puts.items()}
unchanged = files() == before
reads = store.locate(small).read_bytes() == b"small"
if how != "sealed":
    store.verify(small)
if how == "read-only":
    subprocess.run(["mount", "-o", "remount,rw", root], check=True)
else:
    filler.unlink()
again = {name: tried(act) for name, act in puts.items()}
artifact = store.put_file(source, "video/mp4")
assert artifact.sha256 == sha256(large).hexdigest()
store.verify(artifact)
outer.close()
print(json.dumps({"said": said, "unchanged": unchanged, "reads": reads, "again": again}))
"""


def told(tmp_path: Path, how: str) -> Any:
    root = tmp_path / "disk"
    root.mkdir()
    command = [*ALONE, sys.executable, "-c", SCRIPT, str(root), how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("how", "reason"),
    [("full", "No space left on device"), ("read-only", "Read-only file system")],
)
def test_every_put_says_so_keeps_nothing_and_works_once_it_is_mended(
    tmp_path: Path, how: str, reason: str
) -> None:
    told_so = told(tmp_path, how)
    for name, said in told_so["said"].items():
        assert reason in said and "MiB free; free some space or set BOTTEGA_STATE" in said, (name, said)
    assert told_so["unchanged"]
    assert told_so["reads"]
    assert set(told_so["again"].values()) == {"worked"}


def test_a_sealed_put_on_a_full_disk(tmp_path: Path) -> None:
    told_so = told(tmp_path, "sealed")
    assert all("No space left on device" in said for said in told_so["said"].values()), told_so
    assert told_so["unchanged"]
    assert set(told_so["again"].values()) == {"worked"}
