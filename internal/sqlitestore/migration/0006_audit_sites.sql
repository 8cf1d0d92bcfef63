-- The sites that the action concerned, separated by spaces; '' if it may have concerned all,
-- and in entries of earlier releases.
ALTER TABLE audit ADD COLUMN sites TEXT NOT NULL DEFAULT '';
