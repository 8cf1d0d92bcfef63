-- Sets one instance's share in the presence of a topic, removes expired shares, and
-- publishes the sum if it changed. Repeating it is harmless.
--
-- KEYS[1]  hash: n count, v version, and h and g, see part/peak.lua
-- KEYS[2]  hash: instance to "pages expires", the latter in milliseconds
-- KEYS[3]  the hours of the history, see part/record.lua; a record is the greatest count
-- KEYS[4]  the days
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  instance
-- ARGV[3]  pages; 0 removes the share
-- ARGV[4]  lifetime of the share, milliseconds
-- ARGV[5]  retention of the keys, milliseconds
-- ARGV[6]  channel
-- ARGV[7]  head of the topic's frames
-- ARGV[8]  1 if the share may make the first record of the topic
-- ARGV[9]  retention of the history, days; 0: no history
--
-- Returns a text: count, version, 1 if the count changed or else 0, and, if the
-- publication failed, the reason. Deadline passed: -1.

-- include deadline
local state = redis.call('HMGET', KEYS[1], 'n', 'v')
local count, version = tonumber(state[1] or 0), tonumber(state[2] or 0)
if not (count and version) then
  return redis.error_reply('BADDATA the count of this topic is not made of numbers')
end
local shares = redis.call('HGETALL', KEYS[2])

local clock, pages = math.floor(now / 1000), tonumber(ARGV[3])
local sum, hasShare, expired = pages, false, {}
for i = 1, #shares, 2 do
  local share, expires = string.match(shares[i + 1], '^(%d+) (%d+)$')
  if shares[i] == ARGV[2] then
    hasShare = true
  elseif not share or tonumber(expires) <= clock then
    expired[#expired + 1] = shares[i]
  else
    sum = sum + tonumber(share)
  end
end
if pages == 0 and hasShare then expired[#expired + 1] = ARGV[2] end

for i = 1, #expired do redis.call('HDEL', KEYS[2], expired[i]) end
if pages > 0 then
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[3] .. ' ' .. string.format('%.0f', clock + tonumber(ARGV[4])))
end
if sum > 0 then redis.call('PEXPIRE', KEYS[2], ARGV[5]) end
-- include peak
if sum == count then
  if version > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[5]) end
  return string.format('%.0f %.0f 0', count, version)
end
version = math.max(version + 1, now)
local n, v = string.format('%.0f', sum), string.format('%.0f', version)
redis.call('HSET', KEYS[1], 'n', n, 'v', v)
redis.call('PEXPIRE', KEYS[1], ARGV[5])
local channel, head, reply = ARGV[6], ARGV[7], n .. ' ' .. v .. ' 1'
-- include reply
