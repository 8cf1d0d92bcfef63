-- Withdraws contributions of 0 or 1: those of the given members, or those whose journal
-- entries are still there, which it erases. It does so for topics of one metric rule, each of which
-- has the same number of keys. Outside a Cluster these may be in several slots.
--
-- KEYS     of each topic:
--   1      hash, as in apply.lua
--   2      members, as in apply.lua
--   3      the hours of the history, see part/record.lua
--   4      the days
--   5…     journals of days, the earliest first: all from the day of the first entry to the
--          last that may exist, since entries in later ones may be newer; in a window those
--          of the entries; without entries none
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  number of keys of a topic
-- ARGV[3]  window, milliseconds; 0: members stay
-- ARGV[4]  version that the topic must have; 0: any
-- ARGV[5]  retention of the history, days; 0: there is none
-- ARGV[6]  1 if the records since each contribution are lowered, else 0
-- ARGV[7]  1 if the caller read the journals before, else 0
-- ARGV[8…] of each topic, as many as it has keys:
--   1      writes with the digit 0, see part/decide.lua
--   2      empty, or 25 bytes for each write: 1 for the index of the journal in the keys, 4 for
--          the place of the entry in it, 4 for its position in the range that is read (from
--          1; 0: outside), and 16 for the entry itself
--   3      channel
--   4      head of the topic's frames
--   5…     for each journal, begin of the range in which to look for newer entries of the
--          members; empty: it is not read. The range begins at the first of the entries;
--          all ranges of a topic together may have MOST bytes, see journals.lua. If the caller
--          read the journals before, it begins at the last entry that the caller read, and
--          extends to the end of the journal.
--
-- Returns for a topic what edit.lua returns, but with entries only count, version, 1 if it changed,
-- else 0, and after a semicolon a digit for each entry: 1 if it was the newest of its member or of
-- a window, else 0. The journals have more to read: -3. Of several topics, see part/topics.lua.

local redis, string, math, struct, tonumber = redis, string, math, struct, tonumber -- access to globals takes longer
-- include deadline
local keys, window, ifVersion, retention, lowers, isRead = unpack(ARGV, 2, 7)
window = tonumber(window)
local function withdraw(KEYS, ARGV) -- of a topic
local writes, size = ARGV[1], 19
-- include journals
-- include single_entry
-- include present
local count, options = tonumber(state[1] or 0), 1
if not count then return redis.error_reply('BADDATA the count of this topic is not a number') end

local journal, before = false, count
-- include decide
if window > 0 and places then
  -- A window forgets its members, but each entry was counted.
  count, changed, raised = before - #places, #places > 0, 0
  if count < 0 then count, raised = 0, -count end
end
local withdrawn = {}
for i, hour in pairs(past or withdrawn) do
  if window > 0 or results[i] ~= '0' then withdrawn[hour] = (withdrawn[hour] or 0) + 1 end
end
local n, raises = string.format('%.0f', count), raised > 0 and { raised }
-- include reply_end
-- include erase
if not changed then return n .. ' ' .. (state[2] or '0') .. ' 0;' .. replyEnd end
local hours, days = KEYS[3], KEYS[4]
-- include lower
-- include record
-- include store
-- include withdrawn
end
-- include topics
