-- take.lua for members that contribute amounts.
--
-- KEYS and ARGV as there, ARGV[5] writes of the amount 0, see part/amounts_find.lua.
--
-- Returns what edit.lua returns.

-- include begin
local mark = ''
-- include topic
local writes, size, window = ARGV[5], 16, 0
-- include traces

local journal, greatest, depth = false, false, stored
-- include amounts_find
-- include forget
if not changed then
  return string.format('%.0f %.0f 0,', count, version) .. was .. string.format(',%.0f,%.0f', seed, adjustment)
end

-- include amounts_keep
local least = 0
adjustment = adjustment + raised
-- include publish
