-- Stores counts, seeds and adjustments under the version after, publishes them and returns.
-- Needs counts, version, after, stored, depth, what topic.lua sets, and ARGV[3] and ARGV[4], channel
-- and head of the topic's frames.

-- include check_rights
for i = 1, #counts do
  if counts[i] < 0 then
    adjustments[i], counts[i] = adjustments[i] - counts[i], 0
  end
end
local n, v = format(counts), string.format('%.0f', after)
redis.call('HSET', KEYS[1], 'n', n, 'v', v)
if depth ~= stored then redis.call('HSET', KEYS[1], 'd', depth) end
local zero = {}
for name, field in pairs({ s = { state[5], format(seeds) }, a = { state[6], format(adjustments) } }) do
  local stored, numbers = field[1], field[2]
  if string.find(numbers, '[1-9]') then
    if numbers ~= stored then redis.call('HSET', KEYS[1], name, numbers) end
  elseif stored then
    zero[#zero + 1] = name
  end
end
if zero[1] then redis.call('HDEL', KEYS[1], unpack(zero)) end
local channel, head, reply = ARGV[3], ARGV[4], result(n, v, '1')
-- include reply
