-- Finds the peaks of presence whose retention has ended.
CREATE INDEX readers_by_number ON readers (period, number);
