-- withdraw.lua for members that choose an option.
--
-- KEYS and ARGV as there, except ARGV[2], the number of options, and ARGV[5], writes of the
-- option 0, see part/decide_choices.lua.
--
-- Returns what edit.lua returns.

-- include deadline
-- include numbers
local writes, size, window = ARGV[5], 20, 0
-- include journals
-- include present
local options = tonumber(ARGV[2])
local counts = parse(state[1], options)
if not counts then return redis.error_reply('BADDATA the count of this topic is not made of numbers') end

local journal, keepsOption = false, false
-- include decide_choices
local withdrawn = {}
for i, hour in pairs(past or withdrawn) do
  if results[i] ~= '0' then withdrawn[hour] = (withdrawn[hour] or 0) + 1 end
end
local n, raises = format(counts), next(raised) and raised
-- include reply_end
-- include erase
if not changed then return n .. ' ' .. (state[2] or '0') .. ' 0;' .. replyEnd end
local hours, days, retention = KEYS[3], KEYS[4], ARGV[8]
-- include lower
-- include record
-- include store
-- include withdrawn
