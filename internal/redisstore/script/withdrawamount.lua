-- withdraw.lua for members that contribute amounts.
--
-- KEYS and ARGV as there, ARGV[5] writes of the amount 0, see part/decide_amounts.lua.
--
-- Returns what edit.lua returns.

-- include deadline
local writes, size, window = ARGV[5], 16, 0
-- include journals
-- include present
local count, options = tonumber(state[1] or 0), 1
if not count then return redis.error_reply('BADDATA the count of this topic is not a number') end

local journal, raisesOnly, depth = false, false, stored
-- include decide_amounts
local withdrawn = {}
for i, hour in pairs(past or withdrawn) do withdrawn[hour] = (withdrawn[hour] or 0) + lowered[i] end
local n, raises = string.format('%.0f', count), raised > 0 and { raised }
-- include reply_end
-- include erase
if not changed then return n .. ' ' .. (state[2] or '0') .. ' 0;' .. replyEnd end
local hours, days, retention = KEYS[3], KEYS[4], ARGV[8]
-- include lower
-- include record
-- include store_amounts
-- include withdrawn
