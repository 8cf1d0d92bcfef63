-- Stores count, seed and adjustment under the next version, which is at least least,
-- publishes them and returns. Needs count, version, stored, depth, seed, adjustment, was,
-- now, least, and ARGV[3] and ARGV[4], channel and head of the topic's frames.

-- include check_rights
if count < 0 then
  adjustment, count = adjustment - count, 0
end
local n, v = string.format('%.0f', count), string.format('%.0f', math.max(version + 1, now, least))
redis.call('HSET', KEYS[1], 'n', n, 'v', v)
if depth ~= stored then redis.call('HSET', KEYS[1], 'd', depth) end
local zero = {}
for name, number in pairs({ s = seed, a = adjustment }) do
  if number == 0 then
    zero[#zero + 1] = name
  else
    redis.call('HSET', KEYS[1], name, string.format('%.0f', number))
  end
end
if zero[1] then redis.call('HDEL', KEYS[1], unpack(zero)) end
local channel, head = ARGV[3], ARGV[4]
local reply = n .. ' ' .. v .. ' 1,' .. was .. string.format(',%.0f,%.0f', seed, adjustment)
-- include reply
