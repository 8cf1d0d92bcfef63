-- restore.lua for members that contribute amounts: the greater of two amounts wins.
--
-- KEYS and ARGV as there, ARGV[5] writes, see part/decide_amounts.lua.
--
-- Returns what edit.lua returns.

-- include deadline
local mark, options = ARGV[11], 1
-- include topic
local writes = ARGV[5]
-- include restore_begin

local journal, raisesOnly, depth, count = false, true, stored, sums[1]
-- include decide_amounts
sums[1] = count
-- include store_amounts
-- include restore_end
