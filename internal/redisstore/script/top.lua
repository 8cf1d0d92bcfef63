-- Updates a metric's leaderboard; ignores versions that are not newer.
--
-- KEYS[1]  sorted set: key of a topic by -count, so that the order is the one shown:
--          highest first, equal counts by key
-- KEYS[2]  hash: key of a topic to its version in KEYS[1]; the field '' if topics were cut
-- ARGV[1]  how many topics to keep
-- ARGV[2…] key, -count, version of each topic, at most 200 topics; -count is empty if the
--          topic was deleted then
--
-- Returns how many were newer.

local KEYS, ARGV = KEYS, ARGV -- access to globals takes longer
local keep, keys = tonumber(ARGV[1]), {}
for i = 2, #ARGV, 3 do keys[#keys + 1] = ARGV[i] end
local stored = redis.call('HMGET', KEYS[2], unpack(keys))
local scores, versions, deleted = {}, {}, {}
for i = 1, #keys do
  local score, version, before = ARGV[i * 3], ARGV[i * 3 + 1], stored[i] or '0'
  -- Texts of positive whole numbers: to convert them takes longer.
  local isNewer = #version > #before or #version == #before and version > before
  if score == '' then
    -- Its version is removed too: a restored topic may have an older one.
    if isNewer or version == before then deleted[#deleted + 1] = keys[i] end
  elseif isNewer then
    scores[#scores + 1] = score
    scores[#scores + 1] = keys[i]
    versions[#versions + 1] = keys[i]
    versions[#versions + 1] = version
  end
end
if deleted[1] then
  redis.call('ZREM', KEYS[1], unpack(deleted))
  redis.call('HDEL', KEYS[2], unpack(deleted))
end
if #scores == 0 then return 0 end
redis.call('ZADD', KEYS[1], unpack(scores))
redis.call('HSET', KEYS[2], unpack(versions))
while redis.call('ZCARD', KEYS[1]) > keep do
  local last = redis.call('ZRANGE', KEYS[1], math.max(keep, redis.call('ZCARD', KEYS[1]) - 200), -1)
  redis.call('ZREM', KEYS[1], unpack(last))
  redis.call('HDEL', KEYS[2], unpack(last))
  redis.call('HSET', KEYS[2], '', 1)
end
return #scores / 2
