-- Applies a batch of assertions to a topic whose visitors choose an option.
--
-- It checks everything before the first write, since scripts are not rolled back, and
-- publishes last; a failed publication is reported, not raised.
--
-- KEYS     as in apply.lua
-- ARGV     as in apply.lua, except
-- ARGV[2]  number of options instead of the window
-- ARGV[5]  writes, see part/decide_choices.lua
--
-- Returns what apply.lua returns.

-- include deadline
local state = redis.call('HMGET', KEYS[1], 'n', 'v', 'd', 'j', 'e')
-- include mark
local options = tonumber(string.match(ARGV[2], '%d+'))
-- include numbers
local counts, version, stored = parse(state[1], options), tonumber(state[2] or 0), tonumber(state[3] or 0)
if not (counts and version and stored) then
  return redis.error_reply('BADDATA the count of this topic is not made of numbers')
end
local writes, size, window, journal, keepsOption = ARGV[5], 20, 0, KEYS[#KEYS] ~= KEYS[2], false

-- include decide_choices
results = table.concat(results)
if not changed then return format(counts) .. string.format(' %.0f ', version) .. results end

local after, hours, days, retention = math.max(version + 1, now), KEYS[3], KEYS[4], ARGV[#ARGV]
-- include record
-- include store
-- include journal
if next(raised) then
  local adjustments = parse(redis.call('HGET', KEYS[1], 'a'), #counts)
  for option, by in pairs(raised) do adjustments[option] = adjustments[option] + by end
  redis.call('HSET', KEYS[1], 'a', format(adjustments))
end
local n, v = format(counts), string.format('%.0f', after)
-- include change
