-- Stores a topic under a version above the one that an instance holds, and publishes it,
-- unless the stored state is newer or the same.
--
-- KEYS[1]  hash: n count, v version
-- KEYS[2]  for presence, hash: instance to "pages expires"; else unused
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  held version
-- ARGV[3]  held count
-- ARGV[4]  for presence, retention of the count, milliseconds; else 0
-- ARGV[5]  channel
-- ARGV[6]  head of the topic's frames
--
-- Returns a text: count, version, 1 if reissued or else 0, and, if the publication failed,
-- the reason. Deadline passed: -1.

-- include deadline
local state = redis.call('HMGET', KEYS[1], 'n', 'v')
local count, version = tonumber(state[1] or 0), tonumber(state[2] or 0)
if not (count and version) then
  return redis.error_reply('BADDATA the count of this topic is not made of numbers')
end
if ARGV[4] ~= '0' then
  count = 0
  local shares = redis.call('HGETALL', KEYS[2])
  for i = 2, #shares, 2 do
    local pages, expires = string.match(shares[i], '^(%d+) (%d+)$')
    if pages and tonumber(expires) > now / 1000 then count = count + tonumber(pages) end
  end
end

-- A deleted topic is not created for an instance that holds its last count, 0.
local held = tonumber(ARGV[2])
if version > held or (version == held or version == 0 and count == 0) and count == tonumber(ARGV[3]) then
  return string.format('%.0f %.0f 0', count, version)
end
version = math.max(version + 1, held + 1, now)
local n, v = string.format('%.0f', count), string.format('%.0f', version)
redis.call('HSET', KEYS[1], 'n', n, 'v', v)
if ARGV[4] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
local channel, head, reply = ARGV[5], ARGV[6], n .. ' ' .. v .. ' 1'
-- include reply
