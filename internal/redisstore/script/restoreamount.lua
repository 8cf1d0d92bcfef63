-- restore.lua for members that contribute amounts: the greater of two amounts wins.
--
-- KEYS and ARGV as there, ARGV[5] writes, see part/decide_amounts.lua.
--
-- Returns what edit.lua returns.

-- include deadline
local mark = ARGV[11]
-- include topic
local writes = ARGV[5]
-- include restore_begin

local journal, greatest, depth = false, true, stored
count = contributed
-- include decide_amounts
-- include store_amounts
-- include restore_end
