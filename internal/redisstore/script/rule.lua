-- Stores the rule of a metric if the stored one is the expected one.
--
-- KEYS[1]  hash: metric to rule
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  metric
-- ARGV[3]  expected rule; empty: none
-- ARGV[4]  new rule
--
-- Returns the rule that is stored afterwards. Deadline passed: -1.

-- include deadline
local stored = redis.call('HGET', KEYS[1], ARGV[2]) or ''
if stored ~= ARGV[3] then return stored end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[4])
return ARGV[4]
