-- Applies a batch of assertions to a topic whose visitors contribute amounts.
--
-- It checks everything before the first write, since scripts are not rolled back, and
-- publishes last; a failed publication is reported, not raised.
--
-- KEYS[1]  hash, as in apply.lua, without d
-- KEYS[2]  hash: a member's 8 bytes to its amount
-- KEYS[…]  as in apply.lua
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  unused
-- ARGV[3]  channel
-- ARGV[4]  head of the topic's frames
-- ARGV[5]  writes, see part/decide_amounts.lua
-- ARGV[6]  retention of the journal, milliseconds; 0: no journal
-- ARGV[7]  mark that the topic must have; empty: none
-- ARGV[8]  retention of the history, days; 0: no history
--
-- Returns what apply.lua returns.

-- include deadline
local state = redis.call('HMGET', KEYS[1], 'n', 'v', 'd', 'j', 'e')
if (state[5] or '') ~= ARGV[7] then return '-2' .. (state[5] or '') end
local count, version = tonumber(state[1] or 0), tonumber(state[2] or 0)
if not (count and version) then
  return redis.error_reply('BADDATA the count of this topic is not made of numbers')
end
local writes, journal, greatest = ARGV[5], ARGV[6] ~= '0', false

-- include decide_amounts
results = table.concat(results)
if not changed then return string.format('%.0f %.0f ', math.max(count, 0), version) .. results end

local after, hours, days, retention = math.max(version + 1, now), KEYS[3], KEYS[4], ARGV[8]
-- include record
-- include store_amounts
-- include journal
-- include raise
local n, v = string.format('%.0f', count), string.format('%.0f', after)
redis.call('HSET', KEYS[1], 'n', n, 'v', v)
local channel, head, reply = ARGV[3], ARGV[4], n .. ' ' .. v .. ' ' .. results
-- include reply
