-- Applies a batch of assertions to a topic whose visitors contribute 0 or 1.
--
-- Everything is checked before the first write, since scripts are not rolled
-- back; the publication comes last and its failure is reported, not raised.
--
-- KEYS[1]  hash: n count, v version, d depth of the deepest bucket (absent: 0), and
--          where they are not 0, s seed and a adjustment; j the journal that is full,
--          r while a topic is restored whose adjustment waits for its last portion;
--          e the mark, see mark.lua
-- KEYS[2]  hash: path to the members below it. A path is the leading hex digits of
--          a member; a bucket of more than 128 members is replaced by its 16
--          children, so that a member is in the only bucket on its path.
-- KEYS[3]  journal of the day, see part/journal.lua
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  window, milliseconds; 0: members stay
-- ARGV[3]  channel
-- ARGV[4]  head of the topic's frames
-- ARGV[5]  writes, see part/find.lua
-- ARGV[6]  how long the journal is kept, milliseconds; 0: there is none
-- ARGV[7]  mark that the topic has if it has one
--
-- Returns a text: count, version, results and, where the publication failed, why.
-- results is a digit a write, see part/find.lua, and j where the journal lacks some.
-- Too late: -1.
-- Another mark: -2 and the mark.

-- include begin
local state = redis.call('HMGET', KEYS[1], 'n', 'v', 'd', 'j', 'e')
if state[5] and state[5] ~= ARGV[7] then return '-2' .. state[5] end
local count, version, stored = tonumber(state[1] or 0), tonumber(state[2] or 0), tonumber(state[3] or 0)
if not (count and version and stored) then
  return redis.error_reply('BADDATA the count of this topic is not made of numbers')
end
local writes, journal = ARGV[5], ARGV[6] ~= '0'

-- include find
results = total == 1 and results[1] or table.concat(results)
if not changed then return string.format('%.0f %.0f ', math.max(count, 0), version) .. results end

-- include keep
-- include journal
-- include below
local n, v = string.format('%.0f', count), string.format('%.0f', math.max(version + 1, now))
if depth == stored then
  redis.call('HSET', KEYS[1], 'n', n, 'v', v)
else
  redis.call('HSET', KEYS[1], 'n', n, 'v', v, 'd', depth)
end
local said = redis.pcall('PUBLISH', ARGV[3], ARGV[4] .. n .. ',"version":' .. v .. '}')
if type(said) == 'table' and said.err then return n .. ' ' .. v .. ' ' .. results .. ' ' .. said.err end
return n .. ' ' .. v .. ' ' .. results
