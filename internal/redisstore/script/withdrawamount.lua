-- withdraw.lua for members that contribute amounts.
--
-- KEYS and ARGV as there, with writes of the amount 0, see part/decide_amounts.lua.
--
-- Returns what edit.lua returns.

-- include deadline
local keys, _, ifVersion, retention, lowers, isRead = unpack(ARGV, 2, 7)
local window = 0
local function withdraw(KEYS, ARGV) -- of a topic
local writes, size = ARGV[1], 16
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
local hours, days = KEYS[3], KEYS[4]
-- include lower
-- include record
-- include store_amounts
-- include withdrawn
end
-- include topics
