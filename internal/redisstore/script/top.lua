-- Updates a metric's leaderboard; ignores versions that are not newer.
--
-- KEYS[1]  sorted set: key of a topic by -count, so that the order is the one shown:
--          highest first, equal counts by key
-- KEYS[2]  hash: key of a topic to its version in KEYS[1]; the field '' if topics were cut
-- ARGV[1]  how many topics to keep
-- ARGV[2…] key, -count, version of each topic, at most 200; -count is empty if the topic was
--          deleted then
--
-- Returns '0'.

local KEYS, ARGV = KEYS, ARGV -- access to globals takes longer
local keep, keys = tonumber(ARGV[1]), {}
for i = 2, #ARGV, 3 do keys[#keys + 1] = ARGV[i] end
local stored = redis.call('HMGET', KEYS[2], unpack(keys))
local scores, versions, deleted, added = {}, {}, {}, {}
local function set(i)
  scores[#scores + 1] = ARGV[i * 3]
  scores[#scores + 1] = keys[i]
  versions[#versions + 1] = keys[i]
  versions[#versions + 1] = ARGV[i * 3 + 1]
end
for i = 1, #keys do
  local version, before = ARGV[i * 3 + 1], stored[i] or '0'
  -- Texts of positive whole numbers: to convert them takes longer.
  local isNewer = #version > #before or #version == #before and version > before
  if ARGV[i * 3] == '' then
    -- Its version is removed too: a restored topic may have an older one.
    if isNewer or version == before then deleted[#deleted + 1] = keys[i] end
  elseif isNewer and stored[i] then
    set(i)
  elseif isNewer then
    added[#added + 1] = i
  end
end
if deleted[1] then
  redis.call('ZREM', KEYS[1], unpack(deleted))
  redis.call('HDEL', KEYS[2], unpack(deleted))
end
if scores[1] then redis.call('ZADD', KEYS[1], unpack(scores)) end

-- Of the topics that are not in the leaderboard, add those that come before its end.
scores = {}
local last = added[1] and redis.call('ZRANGE', KEYS[1], keep - 1, keep - 1, 'WITHSCORES') or {}
local lastKey = { string.byte(last[1] or '', 1, -1) }
local function isCut(i)
  local by = ARGV[i * 3] - (last[2] or math.huge)
  if by == 0 then -- compare the keys by bytes: Lua compares texts as the locale does
    local key = { string.byte(keys[i], 1, -1) }
    for at = 1, #key do
      by = key[at] - (lastKey[at] or -1)
      if by ~= 0 then break end
    end
  end
  return by > 0
end
local cut = false
for _, i in ipairs(added) do
  if isCut(i) then cut = true else set(i) end
end
if scores[1] then redis.call('ZADD', KEYS[1], unpack(scores)) end
if versions[1] then redis.call('HSET', KEYS[2], unpack(versions)) end
local size = redis.call('ZCARD', KEYS[1])
while size > keep do
  cut = true
  last = redis.call('ZRANGE', KEYS[1], math.max(keep, size - 200), -1)
  redis.call('ZREM', KEYS[1], unpack(last))
  redis.call('HDEL', KEYS[2], unpack(last))
  size = size - #last
end
if cut then redis.call('HSET', KEYS[2], '', 1) end
return '0'
