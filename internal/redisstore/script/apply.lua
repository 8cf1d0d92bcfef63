-- Applies a batch of assertions to a topic whose visitors contribute 0 or 1.
--
-- It checks everything before the first write, since scripts are not rolled back, and
-- publishes last; a failed publication is reported, not raised.
--
-- KEYS[1]  hash: n count (see part/numbers.lua), v version, d depth of the deepest bucket (absent: 0), and unless
--          0 s seed and a adjustment; j the journal that is full; r while a topic is
--          restored whose adjustment waits for its last portion; e the mark and p the
--          prior contributions, see doc.go
-- KEYS[2]  hash: path to the members below it. A path is the leading hex digits of
--          a member; a bucket of more than 128 members is replaced by its 16
--          children, so that a member is in the only bucket on its path. In a choice
--          metric a member has 9 bytes, of which the last is its option, and a bucket up
--          to 256 members.
-- KEYS[…]  with history, the hours and the days, see part/record.lua; then the journal of
--          the day, see part/journal.lua, or KEYS[2] again if there is none
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  window and retention of the journal, milliseconds, with a space between them; a
--          window of 0: members stay
-- ARGV[3]  channel
-- ARGV[4]  head of the topic's frames
-- ARGV[5]  writes, see part/decide.lua
-- ARGV[6]  mark that the topic must have; it is left out if there must be none
-- last     retention of the history, days; 0: there is none
--
-- Returns a text: count, version, results and, if the publication failed, the reason.
-- results is a digit a write, see part/decide.lua, and j if the journal lacks some.
-- Deadline passed: -1. Another mark: -2 and the mark.

local KEYS, ARGV, redis, string = KEYS, ARGV, redis, string -- access to globals takes longer
-- include deadline
local state = redis.call('HMGET', KEYS[1], 'n', 'v', 'd', 'j', 'e')
-- include mark
local writes, size, journal = ARGV[5], 19, KEYS[#KEYS] ~= KEYS[2]

-- include single
local count, version, stored = tonumber(state[1] or 0), tonumber(state[2] or 0), tonumber(state[3] or 0)
if not (count and version and stored) then
  return redis.error_reply('BADDATA the count of this topic is not made of numbers')
end
local window, after = tonumber(string.match(ARGV[2], '%d+')), math.max(version + 1, now)
local hours, days, retention = KEYS[3], KEYS[4], ARGV[#ARGV]

-- include decide
results = total == 1 and results[1] or table.concat(results)
if not changed then return string.format('%.0f %.0f ', math.max(count, 0), version) .. results end

-- include record
-- include store
-- include journal
-- include raise
local n, v = string.format('%.0f', count), string.format('%.0f', after)
-- include change
