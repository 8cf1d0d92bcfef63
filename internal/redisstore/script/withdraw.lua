-- Withdraws contributions of 0 or 1: those of the given members, or those whose journal
-- entries are still there, which it erases.
--
-- KEYS[1]  hash, as in apply.lua
-- KEYS[2]  members, as in apply.lua
-- KEYS[3]  journal of the entries, if there are entries
-- KEYS[4]  the hours of the history, see part/record.lua
-- KEYS[5]  the days
-- KEYS[6…] the journals that may have grown since the caller read them; none if each entry
--          counts, as in a window
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  window, milliseconds; 0: members stay
-- ARGV[3]  channel
-- ARGV[4]  head of the topic's frames
-- ARGV[5]  writes with the digit 0, see part/decide.lua
-- ARGV[6]  version that the topic must have; 0: any
-- ARGV[7]  empty, or for each write the place of its entry in the journal in 4 bytes and
--          its minute in 4
-- ARGV[8]  retention of the history, days; 0: there is none
-- ARGV[9]  1 if the records since each contribution are lowered, else 0
-- ARGV[10…] length of each of KEYS[6…] when the caller read it
--
-- Returns what edit.lua returns.

-- include deadline
local mark, options = '', 1
-- include topic
local writes, size, window = ARGV[5], 19, tonumber(ARGV[2])
-- include present

local journal, count, before = false, counts[1], counts[1]
-- include decide
if window > 0 and places then
  -- A window forgets its members, but each entry was counted.
  count, changed, raised = before - #places, #places > 0, 0
end
local taken = {}
if window > 0 then
  for i = 1, #entryHours do taken[entryHours[i]] = (taken[entryHours[i]] or 0) + 1 end
else
  for i, hour in pairs(writeHours) do
    if results[i] ~= '0' then taken[hour] = (taken[hour] or 0) + 1 end
  end
end
counts[1], adjustments[1] = count, adjustments[1] + raised
-- include erase
-- include unchanged
local after, hours, days, retention = math.max(version + 1, now), KEYS[4], KEYS[5], ARGV[8]
-- include record
-- include lower

-- include store
-- include publish
