-- What the service is: the secret (key of the visitor hash) and such.
CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- One row for each topic that somebody touched; site/metric/key is its name.
CREATE TABLE topics (
  id      INTEGER PRIMARY KEY,
  site    TEXT NOT NULL,
  metric  TEXT NOT NULL,
  key     TEXT NOT NULL,
  -- What is shown: the sum of its contributions.
  count   INTEGER NOT NULL CHECK (count >= 0),
  -- Grows with each change; microseconds since 1970 where the clock allows.
  version INTEGER NOT NULL,
  UNIQUE (site, metric, key)
) STRICT;

-- The highest counts of a metric, ready in their order.
CREATE INDEX topics_by_count ON topics (site, metric, count DESC, key) WHERE count > 0;

-- What each visitor adds to a topic that remembers its visitors for good.
CREATE TABLE contributions (
  topic  INTEGER NOT NULL REFERENCES topics (id) ON DELETE CASCADE,
  -- The first 64 bits, signed, of a keyed hash of topic and visitor.
  member INTEGER NOT NULL,
  amount INTEGER NOT NULL CHECK (amount > 0),
  PRIMARY KEY (topic, member)
) STRICT, WITHOUT ROWID;

-- Who was counted in a window of time (metrics such as views). Rows are removed,
-- in small portions, once their window ended; hence its end stands first.
CREATE TABLE seen (
  window_end INTEGER NOT NULL, -- seconds since 1970
  topic      INTEGER NOT NULL REFERENCES topics (id) ON DELETE CASCADE,
  member     INTEGER NOT NULL,
  PRIMARY KEY (window_end, topic, member)
) STRICT, WITHOUT ROWID;
