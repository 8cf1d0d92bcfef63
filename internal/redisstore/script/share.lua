-- Sets one instance's share in the presence of a topic, drops the shares that
-- ended, and publishes the sum where it changed. Doing it again is harmless.
--
-- KEYS[1]  hash: n count, v version
-- KEYS[2]  hash: instance to "pages expires", the latter in milliseconds
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  instance
-- ARGV[3]  pages; 0 takes the share back
-- ARGV[4]  how long the share is good for, milliseconds
-- ARGV[5]  how long the keys are kept without being set, milliseconds
-- ARGV[6]  channel
-- ARGV[7]  head of the topic's frames
--
-- Returns a text: count, version, 1 where it changed or else 0, and, where the
-- publication failed, why. Too late: -1.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if now > tonumber(ARGV[1]) then return '-1' end

local state = redis.call('HMGET', KEYS[1], 'n', 'v')
local count, version = tonumber(state[1] or 0), tonumber(state[2] or 0)
if not (count and version) then
  return redis.error_reply('BADDATA the count of this topic is not made of numbers')
end
local shares = redis.call('HGETALL', KEYS[2])

local clock, pages = math.floor(now / 1000), tonumber(ARGV[3])
local sum, held = pages, false
local ended = {}
for i = 1, #shares, 2 do
  local others, expires = string.match(shares[i + 1], '^(%d+) (%d+)$')
  if shares[i] == ARGV[2] then
    held = true
  elseif not others or tonumber(expires) <= clock then
    ended[#ended + 1] = shares[i]
  else
    sum = sum + tonumber(others)
  end
end
if pages == 0 and held then ended[#ended + 1] = ARGV[2] end

for i = 1, #ended do redis.call('HDEL', KEYS[2], ended[i]) end
if pages > 0 then
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[3] .. ' ' .. string.format('%.0f', clock + tonumber(ARGV[4])))
end
if sum > 0 then redis.call('PEXPIRE', KEYS[2], ARGV[5]) end
if sum == count then
  if version > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[5]) end
  return string.format('%.0f %.0f 0', count, version)
end
version = math.max(version + 1, now)
local n, v = string.format('%.0f', sum), string.format('%.0f', version)
redis.call('HSET', KEYS[1], 'n', n, 'v', v)
redis.call('PEXPIRE', KEYS[1], ARGV[5])
local said = redis.pcall('PUBLISH', ARGV[6], ARGV[7] .. n .. ',"version":' .. v .. '}')
if type(said) == 'table' and said.err then return n .. ' ' .. v .. ' 1 ' .. said.err end
return n .. ' ' .. v .. ' 1'
