"""The tables. The journal is the truth; what stands under "folded" can be made from it again at any time."""

from bottega.storage.merkle import TILE

VERSION = 6  # of the tables; the first release had 1

# {integer}, {bytes}, {strict} and {keyed} (kept in the order of the key) are the database's own words for them.
TRUTH = """
CREATE TABLE journal (
    n {integer} PRIMARY KEY, at TEXT NOT NULL, subject TEXT NOT NULL, entry TEXT NOT NULL, leaf {bytes} NOT NULL
) {strict};
CREATE TABLE tiles (i {integer} PRIMARY KEY, root {bytes} NOT NULL) {strict};
CREATE TABLE checkpoints (size {integer} PRIMARY KEY, note TEXT NOT NULL, witnessed {integer} NOT NULL) {strict};
CREATE TABLE contents (digest TEXT NOT NULL, holder TEXT NOT NULL, body {bytes} NOT NULL, PRIMARY KEY (digest, holder)) {strict};
CREATE TABLE sealed (n {integer} PRIMARY KEY, holder TEXT NOT NULL, body {bytes} NOT NULL) {strict};
"""

# What the journal's entries are about, looked up by name; a whole tile of entries is put in at a time. Those after the last
# tile are few, and looked through.
SUBJECTS = """
CREATE TABLE subjects (subject TEXT NOT NULL, n {integer} NOT NULL, PRIMARY KEY (subject, n)) {keyed};
"""  # since version 5

SMALL = """
CREATE TABLE small (name TEXT PRIMARY KEY, kept_at {integer} NOT NULL, body {bytes} NOT NULL) {keyed};
"""

KEYS = """
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY, secret TEXT NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL, charge TEXT NOT NULL,
    created_at TEXT NOT NULL, expires_at TEXT NOT NULL, revoked_at TEXT NOT NULL,
    project TEXT NOT NULL DEFAULT '', labels TEXT NOT NULL DEFAULT '[]'
) {strict};
CREATE INDEX api_keys_secret ON api_keys (secret);
"""  # since version 3

KEYS_OF_PROJECTS = """
ALTER TABLE api_keys ADD COLUMN project TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN labels TEXT NOT NULL DEFAULT '[]';
"""  # what version 3 lacked

PROJECTS = """
CREATE TABLE projects (id TEXT PRIMARY KEY, team TEXT NOT NULL, closed {integer} NOT NULL) {strict};
"""  # since version 4

KEPT = """
ALTER TABLE runs ADD COLUMN kept TEXT NOT NULL DEFAULT '';
UPDATE runs SET kept = plan;
"""  # since version 6: the document of a plan, with its words or without

BY_RUN = """
CREATE INDEX results_run ON results (run_id);
CREATE INDEX refs_run ON refs (run_id);
CREATE INDEX calls_run ON calls (run_id);
"""  # since version 6: what goes with a run is found without looking at all the others

FOLDED = (
    """
CREATE TABLE runs (
    id TEXT PRIMARY KEY, n {integer} NOT NULL, round {integer} NOT NULL, state TEXT NOT NULL, brief TEXT NOT NULL,
    plan TEXT NOT NULL, out TEXT NOT NULL, created_at TEXT NOT NULL, finished_at TEXT NOT NULL, reason TEXT NOT NULL,
    error TEXT NOT NULL, requested_by TEXT NOT NULL, planned_by TEXT NOT NULL, holder TEXT NOT NULL,
    reuse {integer} NOT NULL, charge TEXT NOT NULL, stop_asked {integer} NOT NULL, kept TEXT NOT NULL
) {strict};
CREATE TABLE steps (
    run_id TEXT NOT NULL, step_id TEXT NOT NULL, round {integer} NOT NULL, state TEXT NOT NULL, key TEXT NOT NULL,
    checks TEXT NOT NULL, result TEXT NOT NULL, error TEXT NOT NULL, deaths {integer} NOT NULL, delays {integer} NOT NULL,
    wake_at TEXT NOT NULL, holder TEXT NOT NULL, PRIMARY KEY (run_id, step_id)
) {keyed};
CREATE TABLE leases (
    run_id TEXT NOT NULL, step_id TEXT NOT NULL, token {integer} NOT NULL, worker TEXT NOT NULL, engine TEXT NOT NULL,
    host TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (run_id, step_id)
) {keyed};
CREATE TABLE results (
    key TEXT NOT NULL, checks TEXT NOT NULL, run_id TEXT NOT NULL, n {integer} NOT NULL, reusable {integer} NOT NULL,
    result TEXT NOT NULL, holder TEXT NOT NULL, PRIMARY KEY (key, checks, run_id)
) {keyed};
CREATE TABLE refs (
    sha256 TEXT NOT NULL, run_id TEXT NOT NULL, holder TEXT NOT NULL, PRIMARY KEY (sha256, run_id)
) {keyed};
CREATE TABLE tickets (
    id TEXT PRIMARY KEY, n {integer} NOT NULL, kind TEXT NOT NULL, run_id TEXT NOT NULL, step_id TEXT NOT NULL,
    port TEXT NOT NULL, plan TEXT NOT NULL, question TEXT NOT NULL, ticket TEXT NOT NULL, state TEXT NOT NULL, owner TEXT NOT NULL,
    opened_at TEXT NOT NULL, due_s {integer} NOT NULL, due_at TEXT NOT NULL, expires_s {integer} NOT NULL,
    expires_at TEXT NOT NULL, escalate_to TEXT NOT NULL, escalated {integer} NOT NULL, holder TEXT NOT NULL
) {strict};
CREATE INDEX tickets_run ON tickets (run_id, n);
CREATE TABLE decisions (
    n {integer} PRIMARY KEY, ticket_id TEXT NOT NULL, who TEXT NOT NULL, decision TEXT NOT NULL
) {strict};
CREATE TABLE accounts (
    id TEXT NOT NULL, unit TEXT NOT NULL, amount {integer}, spent {integer} NOT NULL, reserved {integer} NOT NULL,
    near {integer} NOT NULL, period TEXT NOT NULL, since TEXT NOT NULL, PRIMARY KEY (id, unit)
) {keyed};
CREATE TABLE reservations (
    token {integer} NOT NULL, account TEXT NOT NULL, unit TEXT NOT NULL, amount {integer} NOT NULL,
    billed {integer} NOT NULL, subject TEXT NOT NULL, approval TEXT NOT NULL, PRIMARY KEY (token, account, unit)
) {keyed};
CREATE TABLE waits (
    run_id TEXT NOT NULL, step_id TEXT NOT NULL, account TEXT NOT NULL, unit TEXT NOT NULL, round {integer} NOT NULL,
    question TEXT NOT NULL, answered {integer} NOT NULL, allowed {integer} NOT NULL,
    PRIMARY KEY (run_id, step_id, account, unit)
) {keyed};
CREATE TABLE calls (key TEXT PRIMARY KEY, request TEXT NOT NULL, run_id TEXT NOT NULL) {strict};
"""
    + KEYS
    + PROJECTS
    + BY_RUN
)


# Neither truth nor folded: what is only true now, and what is only remembered to save work.
PASSING = """
CREATE TABLE workers (id TEXT PRIMARY KEY, host TEXT NOT NULL, beat {integer} NOT NULL) {strict};
CREATE TABLE documents (
    source TEXT NOT NULL, name TEXT NOT NULL, converter TEXT NOT NULL, holder TEXT NOT NULL, document TEXT NOT NULL,
    at TEXT NOT NULL, PRIMARY KEY (source, name, converter, holder)
) {strict};
"""

INDEXED = (
    "DROP INDEX journal_subject;"
    + SUBJECTS
    + """
INSERT INTO subjects (subject, n) SELECT subject, n FROM journal WHERE n < {tile} * (SELECT COUNT(*) FROM tiles);
"""
)  # what version 4 lacked

REKEYED = (
    "ALTER TABLE small RENAME TO old_small;"
    + SMALL
    + """
INSERT INTO small (name, kept_at, body) SELECT name, kept_at, body FROM old_small;
DROP TABLE old_small;
"""
)  # what was kept beside its key before version 5

EVERYTHING = TRUTH + SUBJECTS + FOLDED + PASSING + SMALL

FOLDED_TABLES = (
    "runs", "steps", "leases", "results", "refs", "tickets", "decisions", "accounts", "reservations", "waits",
    "calls", "api_keys", "projects",
)  # fmt: skip


def statements(text: str, *, integer: str, bytes_: str, strict: str, keyed: str) -> list[str]:
    """The statements of a text in a database's own words."""
    filled = text.format(integer=integer, bytes=bytes_, strict=strict, keyed=keyed, tile=TILE)
    return [statement.strip() for statement in filled.split(";") if statement.strip()]
