-- Applies a batch of assertions to a topic whose visitors contribute amounts.
--
-- It checks everything before the first write, since scripts are not rolled back, and
-- publishes last; a failed publication is reported, not raised.
--
-- KEYS[1]  hash, as in apply.lua, without d
-- KEYS[2]  hash: a member's 8 bytes to its amount
-- KEYS[…]  as in apply.lua
-- ARGV     as in apply.lua, except
-- ARGV[5]  writes, see part/decide_amounts.lua
--
-- Returns what apply.lua returns.

-- include deadline
local state = redis.call('HMGET', KEYS[1], 'n', 'v', 'd', 'j', 'e')
-- include mark
local count, version = tonumber(state[1] or 0), tonumber(state[2] or 0)
if not (count and version) then
  return redis.error_reply('BADDATA the count of this topic is not made of numbers')
end
local writes, journal, raisesOnly = ARGV[5], KEYS[#KEYS] ~= KEYS[2], false

-- include decide_amounts
results = table.concat(results)
if not changed then return string.format('%.0f %.0f ', math.max(count, 0), version) .. results end

local after, hours, days, retention = math.max(version + 1, now), KEYS[3], KEYS[4], ARGV[#ARGV]
-- include record
-- include store_amounts
-- include journal
-- include raise
local n, v = string.format('%.0f', count), string.format('%.0f', after)
redis.call('HSET', KEYS[1], 'n', n, 'v', v)
local channel, head, reply = ARGV[3], ARGV[4], n .. ' ' .. v .. ' ' .. results
-- include reply
