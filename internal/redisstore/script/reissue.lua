-- Stores a topic under a version above the one that an instance holds, and publishes it,
-- unless the stored state is newer or the same.
--
-- KEYS[1]  hash: n count, v version
-- KEYS[2]  for presence, hash: instance to "pages expires"; else the hours of the history,
--          see part/record.lua
-- KEYS[3]  the days; none for presence
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  held version
-- ARGV[3]  held count, in a choice metric that of each option
-- ARGV[4]  for presence, retention of the count, milliseconds; else 0
-- ARGV[5]  channel
-- ARGV[6]  head of the topic's frames
-- ARGV[7]  number of options; 1: the metric is not a choice
-- ARGV[8]  retention of the history, days; 0: no history
--
-- Returns a text: count, version, 1 if reissued or else 0, and, if the publication failed,
-- the reason. Deadline passed: -1.

-- include deadline
-- include numbers
local state = redis.call('HMGET', KEYS[1], 'n', 'v')
local counts, version = parse(state[1], tonumber(ARGV[7])), tonumber(state[2] or 0)
if not (counts and version) then
  return redis.error_reply('BADDATA the count of this topic is not made of numbers')
end
if ARGV[4] ~= '0' then
  local count = 0
  local shares = redis.call('HGETALL', KEYS[2])
  for i = 2, #shares, 2 do
    local pages, expires = string.match(shares[i], '^(%d+) (%d+)$')
    if pages and tonumber(expires) > now / 1000 then count = count + tonumber(pages) end
  end
  counts = { count }
end

-- A deleted topic is not created for an instance that holds its last count, 0.
local held, n = tonumber(ARGV[2]), format(counts)
local missing = version == 0 and not string.find(n, '[1-9]')
if version > held or (version == held or missing) and n == ARGV[3] then
  return n .. string.format(' %.0f 0', version)
end
local after, hours, days, retention = math.max(version + 1, held + 1, now), KEYS[2], KEYS[3], ARGV[8]
-- include record
local v = string.format('%.0f', after)
redis.call('HSET', KEYS[1], 'n', n, 'v', v)
if ARGV[4] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
local channel, head, reply = ARGV[5], ARGV[6], n .. ' ' .. v .. ' 1'
-- include reply
