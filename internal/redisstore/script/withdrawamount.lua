-- withdraw.lua for members that contribute amounts.
--
-- KEYS and ARGV as there, ARGV[5] writes of the amount 0, see part/decide_amounts.lua.
--
-- Returns what edit.lua returns.

-- include deadline
local mark = ''
-- include topic
local writes, size, window = ARGV[5], 16, 0
-- include present

local journal, greatest, depth = false, false, stored
-- include decide_amounts
-- include erase
-- include unchanged

-- include store_amounts
local least = 0
adjustment = adjustment + raised
-- include publish
