-- restore.lua for members that choose an option: a stored one remains.
--
-- KEYS and ARGV as there, except ARGV[2], the number of options, and ARGV[5], writes, see
-- part/decide_choices.lua.
--
-- Returns what edit.lua returns.

-- include deadline
local mark, options = ARGV[11], tonumber(ARGV[2])
-- include topic
local writes, size, window = ARGV[5], 20, 0
-- include restore_begin

local journal, keepsOption = false, true
counts = sums
-- include decide_choices
-- include store
-- include restore_end
