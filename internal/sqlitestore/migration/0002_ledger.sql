-- At all times: count = seed + the owner's adjustment + the sum of contributions.
ALTER TABLE topics ADD COLUMN seed INTEGER NOT NULL DEFAULT 0 CHECK (seed >= 0);
ALTER TABLE topics ADD COLUMN adjustment INTEGER NOT NULL DEFAULT 0;

-- Recent contributions that increased. A row holds those of one transaction to one topic.
-- Rows are removed after the journal's retention.
CREATE TABLE journal (
  minute  INTEGER NOT NULL, -- since 1970
  n       INTEGER NOT NULL, -- within the minute
  topic   INTEGER NOT NULL, -- topics.id; the journal of a deleted topic is not shown
  -- Entries of 12 bytes: the member (8 bytes, the most significant first) and a hash
  -- of its network (4); zeros for an entry that was reverted.
  entries BLOB NOT NULL,
  PRIMARY KEY (minute, n)
) STRICT, WITHOUT ROWID;

-- Former ids of deleted and reset topics, whose contributions are being removed in small
-- numbers. The service does not use an id again.
CREATE TABLE dropped (
  topic INTEGER PRIMARY KEY
) STRICT;

-- Topics that a restore has begun; their adjustment comes with the last portion.
CREATE TABLE restoring (
  topic INTEGER PRIMARY KEY
) STRICT;

-- Settings of the service, such as blocks and aliases, and the marks of topics.
CREATE TABLE register (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The audit log, which is never changed.
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

-- The number of contributions that changed in each minute of the last days.
CREATE TABLE activity (
  minute INTEGER NOT NULL, -- since 1970
  site   TEXT NOT NULL,
  writes INTEGER NOT NULL,
  PRIMARY KEY (minute, site)
) STRICT, WITHOUT ROWID;
