-- restore.lua for members that contribute amounts; of two the greater holds.
--
-- KEYS and ARGV as there, ARGV[5] writes, see part/amounts_find.lua.
--
-- Returns what edit.lua returns.

-- include begin
local mark = ARGV[11]
-- include topic
local writes = ARGV[5]
-- include place

local journal, greatest, depth = false, true, stored
count = contributed
-- include amounts_find
-- include amounts_keep
-- include placed
