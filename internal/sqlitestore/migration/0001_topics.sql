-- Properties of the file, such as the secret (the key of the visitor hash).
CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- One row for each topic; its name is site/metric/key.
CREATE TABLE topics (
  id      INTEGER PRIMARY KEY,
  site    TEXT NOT NULL,
  metric  TEXT NOT NULL,
  key     TEXT NOT NULL,
  -- The count that is shown.
  count   INTEGER NOT NULL CHECK (count >= 0),
  -- Grows with each change and follows the clock, in microseconds since 1970.
  version INTEGER NOT NULL,
  UNIQUE (site, metric, key)
) STRICT;

-- The topics of a metric by count, the highest first.
CREATE INDEX topics_by_count ON topics (site, metric, count DESC, key) WHERE count > 0;

-- The contribution of each visitor to a topic whose metric has no windows.
CREATE TABLE contributions (
  topic  INTEGER NOT NULL REFERENCES topics (id) ON DELETE CASCADE,
  -- The first 64 bits, signed, of a keyed hash of topic and visitor.
  member INTEGER NOT NULL,
  amount INTEGER NOT NULL CHECK (amount > 0),
  PRIMARY KEY (topic, member)
) STRICT, WITHOUT ROWID;

-- The visitors that were counted in a window of time (metrics such as views). Rows are
-- removed in small numbers after the end of their window, which is the first column.
CREATE TABLE seen (
  window_end INTEGER NOT NULL, -- seconds since 1970
  topic      INTEGER NOT NULL REFERENCES topics (id) ON DELETE CASCADE,
  member     INTEGER NOT NULL,
  PRIMARY KEY (window_end, topic, member)
) STRICT, WITHOUT ROWID;
