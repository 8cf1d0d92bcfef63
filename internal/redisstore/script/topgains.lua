-- Reads the topics of a metric with the highest gains.
--
-- KEYS[1]  as in writegains.lua
-- KEYS[2]  sorted set: key of a topic by -gain
-- KEYS[3]  exists while somebody reads the gains
-- ARGV[1]  how many topics
--
-- Returns a list: the second of this server's clock, the hour for which all gains were computed,
-- see writegains.lua, empty if they never were, KEYS[3] or empty, and key and -gain of each topic.

-- The member '' is the first one, since hours are less than versions.
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
local computed = first[1] == '' and first[2] or ''
local ranked = redis.call('ZRANGE', KEYS[2], 0, ARGV[1] - 1, 'WITHSCORES')
return { redis.call('TIME')[1], computed, redis.call('GET', KEYS[3]) or '', unpack(ranked) }
