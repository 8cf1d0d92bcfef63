-- Gives what is stored a version above what an instance holds, and publishes it,
-- unless what is stored is newer or the same.
--
-- KEYS[1]  hash: n count, v version
-- KEYS[2]  for presence, hash: instance to "pages expires"; else not used
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  held version
-- ARGV[3]  held count
-- ARGV[4]  for presence, how long the count is kept, milliseconds; else 0
-- ARGV[5]  channel
-- ARGV[6]  head of the topic's frames
--
-- Returns a text: count, version, 1 where it was reissued or else 0, and, where
-- the publication failed, why. Too late: -1.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if now > tonumber(ARGV[1]) then return '-1' end

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

-- A topic that ended is not brought into being for those who hold its last count, 0.
local held = tonumber(ARGV[2])
if version > held or (version == held or version == 0 and count == 0) and count == tonumber(ARGV[3]) then
  return string.format('%.0f %.0f 0', count, version)
end
version = math.max(version + 1, held + 1, now)
local n, v = string.format('%.0f', count), string.format('%.0f', version)
redis.call('HSET', KEYS[1], 'n', n, 'v', v)
if ARGV[4] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
local said = redis.pcall('PUBLISH', ARGV[5], ARGV[6] .. n .. ',"version":' .. v .. '}')
if type(said) == 'table' and said.err then return n .. ' ' .. v .. ' 1 ' .. said.err end
return n .. ' ' .. v .. ' 1'
