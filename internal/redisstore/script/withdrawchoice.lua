-- withdraw.lua for members that choose an option.
--
-- KEYS and ARGV as there, except ARGV[2], the number of options, and ARGV[5], writes of the
-- option 0, see part/decide_choices.lua.
--
-- Returns what edit.lua returns.

-- include deadline
local mark, options = '', tonumber(ARGV[2])
-- include topic
local writes, size, window = ARGV[5], 20, 0
-- include present

local journal, keeps = false, false
-- include decide_choices
for option, by in pairs(raised) do adjustments[option] = adjustments[option] + by end
local taken = {}
for i, hour in pairs(writeHours) do
  if results[i] ~= '0' then taken[hour] = (taken[hour] or 0) + 1 end
end
-- include erase
-- include unchanged
local after, hours, days, retention = math.max(version + 1, now), KEYS[3], KEYS[4], ARGV[8]
-- include record
-- include lower

-- include store
-- include publish
