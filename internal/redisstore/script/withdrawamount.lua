-- withdraw.lua for members that contribute amounts.
--
-- KEYS and ARGV as there, ARGV[5] writes of the amount 0, see part/decide_amounts.lua.
--
-- Returns what edit.lua returns.

-- include deadline
local mark, options = '', 1
-- include topic
local writes, size, window = ARGV[5], 16, 0
-- include present

local journal, greatest, depth, count = false, false, stored, counts[1]
-- include decide_amounts
counts[1], adjustments[1] = count, adjustments[1] + raised
local taken = {}
for i, hour in pairs(writeHours) do taken[hour] = (taken[hour] or 0) + lowered[i] end
-- include erase
-- include unchanged
local after, hours, days, retention = math.max(version + 1, now), KEYS[3], KEYS[4], ARGV[8]
-- include record
-- include lower

-- include store_amounts
-- include publish
