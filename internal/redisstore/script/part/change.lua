-- Stores n, the count, and v, its version, as texts, with the depth if it is not the stored one,
-- publishes them and returns n, v and results. ARGV[3] and ARGV[4] are the channel and the head of
-- the topic's frames.

if depth == stored then
  redis.call('HSET', KEYS[1], 'n', n, 'v', v)
else
  redis.call('HSET', KEYS[1], 'n', n, 'v', v, 'd', depth)
end
local channel, head, reply = ARGV[3], ARGV[4], n .. ' ' .. v .. ' ' .. results
-- include reply
