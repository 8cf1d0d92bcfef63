-- Makes place for a portion, see restore.lua, and takes its seed and adjustment. It wants
-- what topic.lua gives. Gives least, the version, and fresh, whether the topic begins
-- with this portion.

-- include rights
local least, first, last = tonumber(ARGV[7]), version == 0, ARGV[10] ~= ''
-- A topic that ended within the last hour, and is restored as old as it was, goes on from
-- there: pages that show its end take what comes. Others have it reissued in a minute.
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
  -- Before all contributions are there the count might be below 0.
  redis.call('HSET', KEYS[1], 'r', '1')
end
