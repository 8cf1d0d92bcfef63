-- Brings a metric's leaderboard up to date; ignores what is older than it knows.
--
-- KEYS[1]  sorted set: key of a topic by -count, so that the order is the one shown:
--          highest first, equal counts by key
-- KEYS[2]  hash: key of a topic to the version it stands at in KEYS[1]
-- ARGV[1]  how many topics are kept
-- ARGV[2…] key, -count, version of each topic, at most 200 topics; the count is empty
--          where the topic ended then
--
-- Returns how many were newer.

local keep, keys = tonumber(ARGV[1]), {}
for i = 2, #ARGV, 3 do keys[#keys + 1] = ARGV[i] end
local known = redis.call('HMGET', KEYS[2], unpack(keys))
local scores, versions, ended = {}, {}, {}
for i = 1, #keys do
  local score, version = ARGV[i * 3], ARGV[i * 3 + 1]
  if score == '' then
    -- Nothing is remembered of it: restored, it may be older than it was.
    if tonumber(version) >= tonumber(known[i] or 0) then ended[#ended + 1] = keys[i] end
  elseif tonumber(version) > tonumber(known[i] or 0) then
    scores[#scores + 1] = score
    scores[#scores + 1] = keys[i]
    versions[#versions + 1] = keys[i]
    versions[#versions + 1] = version
  end
end
if ended[1] then
  redis.call('ZREM', KEYS[1], unpack(ended))
  redis.call('HDEL', KEYS[2], unpack(ended))
end
if #scores == 0 then return 0 end
redis.call('ZADD', KEYS[1], unpack(scores))
redis.call('HSET', KEYS[2], unpack(versions))
while redis.call('ZCARD', KEYS[1]) > keep do
  local last = redis.call('ZRANGE', KEYS[1], math.max(keep, redis.call('ZCARD', KEYS[1]) - 200), -1)
  redis.call('ZREM', KEYS[1], unpack(last))
  redis.call('HDEL', KEYS[2], unpack(last))
end
return #scores / 2
