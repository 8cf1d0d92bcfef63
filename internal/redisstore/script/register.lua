-- Sets or removes an entry of the map that all instances share.
--
-- KEYS[1]  hash: name to value
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  name
-- ARGV[3]  value; empty removes the entry
--
-- Returns '0'. Too late: -1.

local time = redis.call('TIME')
if time[1] * 1000000 + time[2] > tonumber(ARGV[1]) then return '-1' end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[2])
else
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
end
return '0'
