-- Reads topics, and publishes a message that tells a subscriber when they were read.
--
-- KEYS     of each query: the topic's count; its shares if the number of fields is -1; else the
--          version at which it was deleted and, if there are fields, its members
-- ARGV[1]  channel of the message; empty: none is published
-- ARGV[2]  the message
-- ARGV[3…] of each query: number of fields of the members, -1 for shares; the fields
--
-- Returns a list: milliseconds of this server's clock, then the reply of each query: a list of
-- count and version, each absent if the topic does not exist, then a list of the shares, or
-- the version at which the topic was deleted and the values of the fields. The reply of a query
-- that failed is the text of the error, since clients do not read the rest of a list after an error.

local time = redis.call('TIME')
local key, at = 1, 3

local function read(keys, fields)
  local state = redis.call('HMGET', keys[1], 'n', 'v')
  if not fields then
    state[3] = redis.call('HGETALL', keys[2])
    return state
  end
  state[3] = not state[2] and redis.call('GET', keys[2])
  if fields[1] then
    for i, value in ipairs(redis.call('HMGET', keys[3], unpack(fields))) do state[3 + i] = value end
  end
  return state
end

local replies = { string.format('%.0f', math.floor((time[1] * 1000000 + time[2]) / 1000)) }
while at <= #ARGV do
  local n, fields, keys = tonumber(ARGV[at]), {}, 2
  for i = 1, n do fields[i] = ARGV[at + i] end
  if n > 0 then keys = 3 end
  local ok, reply = pcall(read, { KEYS[key], KEYS[key + 1], KEYS[key + 2] }, n >= 0 and fields)
  -- Redis 6 passes a text, later versions a table.
  if not ok then reply = type(reply) == 'table' and reply.err or tostring(reply) end
  replies[#replies + 1] = reply
  key, at = key + keys, at + 1 + math.max(n, 0)
end
if ARGV[1] ~= '' then redis.call('PUBLISH', ARGV[1], ARGV[2]) end
return replies
