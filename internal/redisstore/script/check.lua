-- Tries every command that the other scripts use, on keys of its own that it removes.
--
-- KEYS[1]  a hash that does not exist
-- KEYS[2]  a sorted set that does not exist
-- KEYS[3]  a key that does not exist
-- ARGV[1…] channels to publish on; the message has no effect
--
-- Returns a text for each command that was refused: the command and the reason.

local refused = {}
local function try(name, ...)
  local reply = redis.pcall(name, ...)
  if type(reply) == 'table' and reply.err then
    refused[#refused + 1] = name .. ': ' .. reply.err
  end
end
try('TIME')
try('HSET', KEYS[1], 'a', '1')
try('HGET', KEYS[1], 'a')
try('HMGET', KEYS[1], 'a')
try('HGETALL', KEYS[1])
try('PEXPIRE', KEYS[1], '60000')
try('PEXPIREAT', KEYS[1], '33000000000000')
try('PEXPIRE', KEYS[1], '60000')
try('HLEN', KEYS[1])
try('HSCAN', KEYS[1], '0')
try('HINCRBY', KEYS[1], 'b', '1')
try('HDEL', KEYS[1], 'a', 'b')
try('ZADD', KEYS[2], '1', 'a')
try('ZCARD', KEYS[2])
try('ZSCORE', KEYS[2], 'a')
try('ZRANGE', KEYS[2], '0', '-1')
try('ZREM', KEYS[2], 'a')
try('SET', KEYS[3], '1', 'PX', '60000')
try('GET', KEYS[3])
try('APPEND', KEYS[3], 'a')
try('SETRANGE', KEYS[3], '0', 'b')
try('GETRANGE', KEYS[3], '0', '0')
try('UNLINK', KEYS[3])
try('XADD', KEYS[3], '*', 'a', '1')
try('XREVRANGE', KEYS[3], '+', '-', 'COUNT', '1')
try('UNLINK', KEYS[3])
for i = 1, #ARGV do try('PUBLISH', ARGV[i], '') end
return refused
