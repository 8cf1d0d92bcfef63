-- Prepares the topic for a portion, see restore.lua, and merges its seed and adjustment.
-- Needs what topic.lua sets. Sets least, the version of the portion, and first, whether
-- the topic begins with this portion.

-- include check_rights
local least, first, last = tonumber(ARGV[7]), version == 0, ARGV[10] ~= ''
-- A topic that was deleted within the last hour continues with the version of its end:
-- pages that show the end accept what follows. Others have it reissued within a minute.
if version == 0 then version = tonumber(redis.call('GET', KEYS[3]) or 0) end
if ARGV[6] == 'first' then
  redis.call('UNLINK', unpack(KEYS, 2))
  redis.call('HDEL', KEYS[1], 'd', 'j', 'r')
  contributed, stored, seed, adjustment, first, state[4] = 0, 0, 0, 0, true, false
end
seed = math.max(seed, tonumber(ARGV[8]))
if not first and not state[4] then
  adjustment = math.max(adjustment, tonumber(ARGV[9]))
elseif last or tonumber(ARGV[9]) >= 0 then
  adjustment = tonumber(ARGV[9])
  if state[4] then redis.call('HDEL', KEYS[1], 'r') end
else
  -- The count could be below 0 until all contributions are stored.
  redis.call('HSET', KEYS[1], 'r', '1')
end
