-- Stores a portion of a topic whose members contribute 0 or 1.
--
-- KEYS[1]  hash, as in apply.lua
-- KEYS[2]  members, as in apply.lua
-- KEYS[3]  the version at which the topic was deleted
-- KEYS[4]  the hours of the history, see part/record.lua
-- KEYS[5]  the days
-- KEYS[6…] if the portion replaces what is stored, all journals
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  window, milliseconds; 0: members stay
-- ARGV[3]  channel
-- ARGV[4]  head of the topic's frames
-- ARGV[5]  writes with the digit 3, see part/decide.lua
-- ARGV[6]  first if the portion replaces what is stored; final if it sets adjustment and past, and
--          the mark; else merge
-- ARGV[7]  version; 0: the next
-- ARGV[8]  seed
-- ARGV[9]  adjustment
-- ARGV[10] sum of all contributions, for the last portion; else empty
-- ARGV[11] mark of the merge that this is a step of, or empty
-- ARGV[12] retention of the history, days; 0: no history
-- ARGV[13…] for the last portion of a topic with a history: its gain, 1 if it is complete,
--          hours and days, see part/merge_past.lua
-- ARGV[…]  for final: the new mark
--
-- Returns what edit.lua returns.

-- include deadline
local mark, options, size = ARGV[11], 1, 19
-- include topic
local writes, window = ARGV[5], tonumber(ARGV[2])
if window > 0 and ARGV[7] ~= '0' and math.floor(ARGV[7] / 1000 / window) < math.floor(now / 1000 / window) then
  writes = '' -- the members of a window that ended are not members of the current one
end
-- include restore_begin

local journal, count = false, sums[1]
-- include decide
if window > 0 then
  count = sums[1]
  if ARGV[10] ~= '' then count = math.max(count, tonumber(ARGV[10])) end
end
sums[1] = count
-- include store
-- include restore_end
