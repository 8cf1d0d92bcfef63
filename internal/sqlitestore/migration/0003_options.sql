-- Of a topic of a choice metric, between spaces: the count of each option, the seed of each
-- and the adjustment of each, such as '3,0 1,0 0,0'; else ''. They add up to count, seed and
-- adjustment. The amount of a contribution to it is the option chosen, and counts 1.
ALTER TABLE topics ADD COLUMN options TEXT NOT NULL DEFAULT '';
