-- The topics of a metric by count and by version: a page of a list reads its own rows only.
-- The second index has no keys, since each change moves its row: with many topics, a single
-- like writes two pages more.
DROP INDEX topics_by_count;
CREATE INDEX topics_by_count ON topics (site, metric, count DESC, key);
CREATE INDEX topics_by_version ON topics (site, metric, version);
