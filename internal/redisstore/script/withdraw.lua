-- Withdraws contributions of 0 or 1: those of the given members, or those whose journal
-- entries are still there, which it erases.
--
-- KEYS[1]  hash, as in apply.lua
-- KEYS[2]  members, as in apply.lua
-- KEYS[3]  the hours of the history, see part/record.lua
-- KEYS[4]  the days
-- KEYS[5…] journals of days, the earliest first: all from the day of the first entry to
--          tomorrow, since entries in later ones may be newer; in a window those of the
--          entries; without entries none
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  window, milliseconds; 0: members stay
-- ARGV[3]  channel
-- ARGV[4]  head of the topic's frames
-- ARGV[5]  writes with the digit 0, see part/decide.lua
-- ARGV[6]  version that the topic must have; 0: any
-- ARGV[7]  empty, or for each write where its entry is: 1 byte for the index of the journal
--          in KEYS, 4 for its place in that journal, and its minute in 4
-- ARGV[8]  retention of the history, days; 0: there is none
-- ARGV[9]  1 if the records since each contribution are lowered, else 0
-- ARGV[10] with entries, how many bytes of the journals to read at most, to find the newest
--          entry of each member; 0 if the caller read the journals: all that was added since
-- ARGV[11…] for each journal, from where to read it: the place of the first entry, or of the
--          last one that the caller read; empty: it is not read
--
-- Returns what edit.lua returns and, with entries, after a semicolon a digit for each entry:
-- 1 if it was the newest of its member or of a window, else 0. The journals have more to
-- read: -3.

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
local after, hours, days, retention = math.max(version + 1, now), KEYS[3], KEYS[4], ARGV[8]
-- include record
-- include lower

-- include store
-- include publish
