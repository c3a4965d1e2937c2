"""The tables of a collection."""

FILE = "collection.sqlite"
VERSION = 6  # of these tables; kept as SQLite's user_version

ADDED = {  # since version 1
    ("passages", "boxes"): "ALTER TABLE passages ADD COLUMN boxes TEXT NOT NULL DEFAULT ''",
    ("passages", "lines"): "ALTER TABLE passages ADD COLUMN lines TEXT NOT NULL DEFAULT ''",
    ("answers", "holder"): "ALTER TABLE answers ADD COLUMN holder TEXT NOT NULL DEFAULT ''",
    ("answers", "labels"): "ALTER TABLE answers ADD COLUMN labels TEXT NOT NULL DEFAULT '[]'",
    ("turns", "holder"): "ALTER TABLE turns ADD COLUMN holder TEXT NOT NULL DEFAULT ''",
    ("state", "stamp"): "ALTER TABLE state ADD COLUMN stamp TEXT NOT NULL DEFAULT ''",
}

TABLES = """
CREATE TABLE IF NOT EXISTS state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    generation INTEGER NOT NULL,           -- counts changes of what can be found
    caught_up INTEGER NOT NULL DEFAULT 0,  -- of versions 1 to 3
    space INTEGER,                         -- the vectors that are searched
    stamp TEXT NOT NULL DEFAULT ''         -- tells this collection from another of its name
) STRICT;
INSERT INTO state (one, generation) VALUES (1, 0) ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS shelves (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    labels TEXT NOT NULL,
    analyser TEXT NOT NULL,
    folder TEXT NOT NULL DEFAULT '',       -- of versions 1 to 3, as is generation
    generation INTEGER NOT NULL DEFAULT 0,
    UNIQUE (labels, analyser)
) STRICT;

CREATE TABLE IF NOT EXISTS documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    place TEXT UNIQUE,                     -- where it was read: a path, then !/ and the member's name for each archive
    name TEXT,                             -- what people call it; NULL, as the place, while it is being read
    digest TEXT NOT NULL,                  -- SHA-256 of its bytes
    media_type TEXT NOT NULL,
    size INTEGER NOT NULL,                 -- bytes
    labels TEXT NOT NULL,                  -- JSON, sorted
    state TEXT NOT NULL,                   -- partial, indexed, skipped
    error TEXT NOT NULL DEFAULT '',
    remedy TEXT NOT NULL DEFAULT '',
    notes TEXT NOT NULL DEFAULT '[]',      -- JSON
    pages INTEGER NOT NULL DEFAULT 0,
    generation INTEGER NOT NULL DEFAULT 0, -- when it was last put on its shelves
    UNIQUE (name, labels)                  -- a name taken under other labels would tell of a hidden document
) STRICT;
CREATE INDEX IF NOT EXISTS documents_by_digest ON documents (digest);

CREATE TABLE IF NOT EXISTS changes (
    labels TEXT PRIMARY KEY,               -- of documents: JSON, sorted
    generation INTEGER NOT NULL            -- the last at which one of them came, went or changed
) STRICT;

CREATE TABLE IF NOT EXISTS passages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    n INTEGER NOT NULL,                    -- its place in the document, from 1
    page INTEGER NOT NULL,
    start INTEGER NOT NULL,                -- characters in the document's text
    "end" INTEGER NOT NULL,
    heading TEXT NOT NULL,
    language TEXT NOT NULL,
    shelf INTEGER NOT NULL REFERENCES shelves (id),
    text TEXT NOT NULL,
    boxes TEXT NOT NULL DEFAULT '',        -- JSON, where the format tells: a place on the page for each paragraph
    lines TEXT NOT NULL DEFAULT ''         -- and its printed lines
) STRICT;
CREATE INDEX IF NOT EXISTS passages_by_document ON passages (document, n);
CREATE INDEX IF NOT EXISTS passages_by_shelf ON passages (shelf);

CREATE TABLE IF NOT EXISTS removals (
    generation INTEGER NOT NULL,
    shelf INTEGER NOT NULL,
    document INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS withdrawn (
    place TEXT PRIMARY KEY,                -- of a document taken out by name: who is indexing then does not bring it back
    generation INTEGER NOT NULL            -- of the removal; the row goes when the files hold nothing of it any more
) STRICT;

CREATE TABLE IF NOT EXISTS spaces (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    embedder TEXT NOT NULL,
    weights TEXT NOT NULL,                 -- digest
    dimensions INTEGER NOT NULL,
    file TEXT NOT NULL,                    -- under vectors/
    rows INTEGER NOT NULL DEFAULT 0        -- given away so far, in use or not
) STRICT;

CREATE TABLE IF NOT EXISTS vectors (
    space INTEGER NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    passage INTEGER NOT NULL REFERENCES passages (id) ON DELETE CASCADE,
    "row" INTEGER NOT NULL,
    PRIMARY KEY (space, passage)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS vectors_by_passage ON vectors (passage);

CREATE TABLE IF NOT EXISTS freed (
    space INTEGER NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,               -- a row of the space's file that stands for nothing any more, to be blanked
    PRIMARY KEY (space, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY,                  -- digest of question, labels, model, schema
    answer TEXT NOT NULL,                  -- JSON; gone when a document changes that its asker may see
    labels TEXT NOT NULL DEFAULT '[]',     -- the asker's: JSON, sorted
    holder TEXT NOT NULL DEFAULT ''        -- the data subject under whose key it is sealed, a pseudonym
) STRICT;

CREATE TABLE IF NOT EXISTS turns (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    session TEXT NOT NULL,
    at TEXT NOT NULL,
    labels TEXT NOT NULL,                  -- JSON: of all documents that the turn rests on, when it was made
    question TEXT NOT NULL,
    asked TEXT NOT NULL,                   -- as it was looked for
    outcome TEXT NOT NULL,
    said TEXT NOT NULL,                    -- JSON: sentences with citations
    holder TEXT NOT NULL DEFAULT ''        -- as of answers; session, question, asked and said are then sealed
) STRICT;
CREATE INDEX IF NOT EXISTS turns_by_session ON turns (owner, session);

CREATE TABLE IF NOT EXISTS rests_on (
    turn INTEGER NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
    document INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    PRIMARY KEY (turn, document)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rests_on_by_document ON rests_on (document);
CREATE TRIGGER IF NOT EXISTS forget AFTER DELETE ON rests_on
    BEGIN UPDATE turns SET said = '[]', asked = '', outcome = 'forgotten' WHERE id = OLD.turn; END;
"""
