-- withdraw.lua for members that choose an option.
--
-- KEYS and ARGV as there, except ARGV[3], the number of options, and with writes of the option 0,
-- see part/decide_choices.lua.
--
-- Returns what edit.lua returns.

-- include deadline
-- include numbers
local keys, options, ifVersion, retention, lowers, isRead = unpack(ARGV, 2, 7)
local window = 0
options = tonumber(options)
local function withdraw(KEYS, ARGV) -- of a topic
local writes, size = ARGV[1], 20
-- include journals
-- include present
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
local hours, days = KEYS[3], KEYS[4]
-- include lower
-- include record
-- include store
-- include withdrawn
end
-- include topics
