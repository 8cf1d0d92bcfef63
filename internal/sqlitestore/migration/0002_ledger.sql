-- What is shown of a topic is its seed, its owner's adjustment, and what its
-- contributions add: count = seed + adjustment + contributions, at all times.
ALTER TABLE topics ADD COLUMN seed INTEGER NOT NULL DEFAULT 0 CHECK (seed >= 0);
ALTER TABLE topics ADD COLUMN adjustment INTEGER NOT NULL DEFAULT 0;

-- Contributions of the last days that became more than they were. A row is what a
-- transaction did to a topic; rows go once they are older than the journal is long.
CREATE TABLE journal (
  minute  INTEGER NOT NULL, -- since 1970
  n       INTEGER NOT NULL, -- within the minute
  topic   INTEGER NOT NULL, -- topics.id; a topic that is not there any more has no journal
  -- Entries of 12 bytes: the member (8 bytes, the most significant first) and a hash
  -- of its network (4); zeros where one was taken back.
  entries BLOB NOT NULL,
  PRIMARY KEY (minute, n)
) STRICT, WITHOUT ROWID;

-- Former ids of topics that were deleted or reset, whose contributions are still
-- being removed, in small portions. The service does not use an id again.
CREATE TABLE dropped (
  topic INTEGER PRIMARY KEY
) STRICT;

-- Topics that a restore has begun, and whose adjustment comes with its last portion.
CREATE TABLE restoring (
  topic INTEGER PRIMARY KEY
) STRICT;

-- Orders that the service obeys: who is blocked, which topics were renamed.
CREATE TABLE register (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What was done to the numbers, for good.
CREATE TABLE audit (
  id     INTEGER PRIMARY KEY,
  at     INTEGER NOT NULL, -- microseconds since 1970
  actor  TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is not changed'); END;
CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is not shortened'); END;

-- How many contributions changed in each minute of the last days.
CREATE TABLE activity (
  minute INTEGER NOT NULL, -- since 1970
  site   TEXT NOT NULL,
  writes INTEGER NOT NULL,
  PRIMARY KEY (minute, site)
) STRICT, WITHOUT ROWID;
