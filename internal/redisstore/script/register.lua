-- Sets entries of the map that all instances share, if expected ones are there.
--
-- KEYS[1]  hash: name to value
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  how many entries are to be set
-- ARGV[3…] name, value of each; an empty value removes the entry
-- ARGV[…]  name, value of each that is expected; an empty value: there is none
--
-- Returns '1' if the entries are what they are to be, also from before; else '0'.
-- Too late: -1.

local time = redis.call('TIME')
if time[1] * 1000000 + time[2] > tonumber(ARGV[1]) then return '-1' end
local expected = 3 + 2 * ARGV[2]
local function met(from, to)
  for i = from, to, 2 do
    if (redis.call('HGET', KEYS[1], ARGV[i]) or '') ~= ARGV[i + 1] then return false end
  end
  return true
end
if met(3, expected - 1) then return '1' end
if not met(expected, #ARGV) then return '0' end
for i = 3, expected - 1, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
return '1'
