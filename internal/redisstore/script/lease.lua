-- Acquires or renews a lease.
--
-- KEYS[1]  the instance that holds the lease; expires
-- ARGV[1]  instance
-- ARGV[2]  how long it then holds the lease, milliseconds; 0 ends the lease
--
-- Returns '1' if the instance holds the lease, '0' if another does.

local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return '0' end
if ARGV[2] == '0' then
  redis.call('UNLINK', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return '1'
