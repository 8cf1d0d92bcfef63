-- Stores n, the count, under the version after, and with raises the adjustment, publishes it
-- and returns. Needs also stored, depth, replyEnd, and ARGV[3] and ARGV[4], channel and head of
-- the topic's frames.

local v = after == now and nowText or string.format('%.0f', after)
if raises then redis.call('HSET', KEYS[1], 'a', adjustment) end
local results = '1;' .. replyEnd
-- include change
