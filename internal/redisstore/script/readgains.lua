-- Reads the gains of topics, see [tally.History.Gain].
--
-- KEYS     of each topic: count, hours, days
-- ARGV[1]  hour for which the gains are read; 0: that of this server's clock
--
-- Returns a list: the hour, then of each topic a text: its version, and its gains since 24
-- hours, 7 days and 30 days; 0 if it does not exist.

local hour = tonumber(ARGV[1])
if hour == 0 then hour = math.floor(redis.call('TIME')[1] / 3600) end

-- include total

-- Returns a function that returns the gain at the end of the newest period before first, and
-- whether there are no records. isNew is true if there are probably few.
local function reader(key, isNew)
  local records = isNew and redis.call('HGETALL', key)
  return function(first)
    if not records then
      -- A busy topic has a record of nearly each period.
      local recent = redis.call('HMGET', key, first - 1, first - 2, first - 3)
      for i = 1, 3 do
        if recent[i] then return tonumber(string.match(recent[i], '^%S+')), false end
      end
      records = redis.call('HGETALL', key)
    end
    local newest, gain = -1, 0
    for i = 1, #records, 2 do
      local number = tonumber(records[i])
      if number < first and number > newest then
        newest, gain = number, tonumber(string.match(records[i + 1], '^%S+'))
      end
    end
    return gain, #records == 0
  end
end

local function read(count, hours, days)
  local state = redis.call('HMGET', count, 'n', 'v', 's', 'a', 'p')
  if not state[2] then return '0' end
  local changed = math.floor(state[2] / 3600000000)
  if not state[5] or math.floor(changed / 24) < math.floor(hour / 24) - 30 then return state[2] end
  local present = total(state[1]) - total(state[3]) - total(state[4]) - string.match(state[5], '-?%d+')
  local gains, before, isNew = { 0, 0, 0 }, reader(hours, false), false
  for i, first in ipairs({ hour - 24, hour - 168 }) do
    if changed >= first then
      local gain
      gain, isNew = before(first)
      gains[i] = present - gain
    end
  end
  gains[3] = present - reader(days, isNew)(math.floor(hour / 24) - 30)
  return string.format('%s %.0f %.0f %.0f', state[2], gains[1], gains[2], gains[3])
end

local replies = { string.format('%.0f', hour) }
for i = 1, #KEYS, 3 do
  local ok, reply = pcall(read, KEYS[i], KEYS[i + 1], KEYS[i + 2])
  replies[#replies + 1] = ok and reply or '0' -- a key of another type
end
return replies
