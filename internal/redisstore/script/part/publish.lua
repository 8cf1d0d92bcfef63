-- Stores counts, seeds and adjustments under the version after, publishes them and returns.
-- Needs counts, version, after, stored, depth, seeds, adjustments, was, and ARGV[3] and
-- ARGV[4], channel and head of the topic's frames.

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
for name, numbers in pairs({ s = format(seeds), a = format(adjustments) }) do
  if string.find(numbers, '[1-9]') then
    redis.call('HSET', KEYS[1], name, numbers)
  else
    zero[#zero + 1] = name
  end
end
if zero[1] then redis.call('HDEL', KEYS[1], unpack(zero)) end
local channel, head = ARGV[3], ARGV[4]
local reply = n .. ' ' .. v .. ' 1;' .. was .. ';' .. format(seeds) .. ';' .. format(adjustments)
-- include reply
