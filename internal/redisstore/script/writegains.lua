-- Updates the gains of a metric's topics.
--
-- KEYS[1]  sorted set: key of a topic by its version, of the topics that changed in the last 30
--          days; and the member '' by the hour for which all gains were computed, which is half
--          an hour less while they are computed
-- KEYS[2…4] sorted sets: key of a topic by -gain since 24 hours, 7 days and 30 days, if the gain
--          is above 0
-- ARGV[1]  hour for which the gains were read
-- ARGV[2]  empty, or the new score of ''
-- ARGV[3]  how many topics to keep
-- ARGV[4…] key, version, and gains of each topic, at most 200; version 0 if the topic does not
--          exist; and its score in KEYS[1] before the gains were read, or 0. A lower version than
--          the score is written only if this is still the score: then Redis lost changes
--
-- Returns a text: the hour of this server's clock and the score of '' before. If the hour is
-- another than ARGV[1], nothing was written.

local WINDOW = 30 -- days
local hour = math.floor(redis.call('TIME')[1] / 3600)
local reply = string.format('%.0f %s', hour, redis.call('ZSCORE', KEYS[1], '') or 'none')
if hour ~= tonumber(ARGV[1]) then return reply end

local begin = (math.floor(hour / 24) - WINDOW) * 86400000000
local changed, unchanged = {}, {}
local raised, lowered = { {}, {}, {} }, { {}, {}, {} }
local function isNewest(key, version, known)
  local score = tonumber(redis.call('ZSCORE', KEYS[1], key) or 0)
  return version >= score or score == known
end

for i = 4, #ARGV, 6 do
  local key, version, known = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 5])
  if version == 0 or version < begin then
    unchanged[#unchanged + 1] = key
  elseif isNewest(key, version, known) then
    changed[#changed + 1] = ARGV[i + 1]
    changed[#changed + 1] = key
    for n = 1, 3 do
      local gain = tonumber(ARGV[i + 1 + n])
      if gain > 0 then
        local set = raised[n]
        set[#set + 1] = -gain
        set[#set + 1] = key
      else
        local set = lowered[n]
        set[#set + 1] = key
      end
    end
  end
end
local function remove(keys)
  if keys[1] then
    for n = 1, 4 do redis.call('ZREM', KEYS[n], unpack(keys)) end
  end
end
remove(unchanged)
if changed[1] then redis.call('ZADD', KEYS[1], unpack(changed)) end
for n = 1, 3 do
  if raised[n][1] then redis.call('ZADD', KEYS[n + 1], unpack(raised[n])) end
  if lowered[n][1] then redis.call('ZREM', KEYS[n + 1], unpack(lowered[n])) end
end
if ARGV[2] ~= '' then redis.call('ZADD', KEYS[1], ARGV[2], '') end
local surplus = redis.call('ZCARD', KEYS[1]) - ARGV[3]
while surplus > 0 do
  -- Those that changed first, after the member ''.
  remove(redis.call('ZRANGE', KEYS[1], 1, math.min(surplus, 200)))
  surplus = surplus - 200
end
for n = 1, 4 do redis.call('PEXPIRE', KEYS[n], (WINDOW + 1) * 86400000) end
return reply
