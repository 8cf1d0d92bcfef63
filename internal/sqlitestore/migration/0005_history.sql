-- Contributions of a topic that are older than its history or were imported since: its gain
-- is the sum of contributions minus prior. NULL: no change was recorded yet. is_complete is 1 if the
-- topic was created while changes were recorded.
ALTER TABLE topics ADD COLUMN prior INTEGER;
ALTER TABLE topics ADD COLUMN is_complete INTEGER NOT NULL DEFAULT 0;

-- What topics had at the end of former periods. A change in a later period stores the state
-- before it, as that of the period of its version.
CREATE TABLE history (
  topic      INTEGER NOT NULL, -- topics.id
  period     INTEGER NOT NULL, -- seconds: of an hour, or of a day
  number     INTEGER NOT NULL, -- of the period, since 1970
  gain       INTEGER NOT NULL,
  adjustment INTEGER NOT NULL,
  PRIMARY KEY (topic, period, number)
) STRICT, WITHOUT ROWID;

-- The greatest number of readers in each period, of topics of presence metrics.
CREATE TABLE readers (
  topic    TEXT NOT NULL, -- site/metric/key
  period   INTEGER NOT NULL,
  number   INTEGER NOT NULL,
  greatest INTEGER NOT NULL,
  PRIMARY KEY (topic, period, number)
) STRICT, WITHOUT ROWID;
