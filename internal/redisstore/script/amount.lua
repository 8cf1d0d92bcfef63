-- Applies a batch of assertions to a topic whose visitors contribute amounts.
--
-- Everything is checked before the first write, since scripts are not rolled
-- back; the publication comes last and its failure is reported, not raised.
--
-- KEYS[1]  hash, as in apply.lua, without d
-- KEYS[2]  hash: a member's 8 bytes to its amount
-- KEYS[3]  journal of the day, see part/journal.lua
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  not used
-- ARGV[3]  channel
-- ARGV[4]  head of the topic's frames
-- ARGV[5]  writes, see part/amounts_find.lua
-- ARGV[6]  how long the journal is kept, milliseconds; 0: there is none
-- ARGV[7]  mark that the topic has if it has one
--
-- Returns what apply.lua returns.

-- include begin
local state = redis.call('HMGET', KEYS[1], 'n', 'v', 'd', 'j', 'e')
if state[5] and state[5] ~= ARGV[7] then return '-2' .. state[5] end
local count, version = tonumber(state[1] or 0), tonumber(state[2] or 0)
if not (count and version) then
  return redis.error_reply('BADDATA the count of this topic is not made of numbers')
end
local writes, journal, greatest = ARGV[5], ARGV[6] ~= '0', false

-- include amounts_find
results = table.concat(results)
if not changed then return string.format('%.0f %.0f ', math.max(count, 0), version) .. results end

-- include amounts_keep
-- include journal
-- include below
local n, v = string.format('%.0f', count), string.format('%.0f', math.max(version + 1, now))
redis.call('HSET', KEYS[1], 'n', n, 'v', v)
local said = redis.pcall('PUBLISH', ARGV[3], ARGV[4] .. n .. ',"version":' .. v .. '}')
if type(said) == 'table' and said.err then return n .. ' ' .. v .. ' ' .. results .. ' ' .. said.err end
return n .. ' ' .. v .. ' ' .. results
