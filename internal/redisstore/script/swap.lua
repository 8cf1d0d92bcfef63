-- Sets entries of a hash if others have the expected values.
--
-- KEYS[1]  hash: name to value
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  number of entries to set
-- ARGV[3…] name, value of each; an empty value removes the entry
-- ARGV[…]  name, expected value of others; empty: no entry
--
-- Returns '1' if the entries have their values now, else '0'. Deadline passed: -1.

-- include deadline
local expected = 3 + 2 * ARGV[2]
local function match(from, to)
  for i = from, to, 2 do
    if (redis.call('HGET', KEYS[1], ARGV[i]) or '') ~= ARGV[i + 1] then return false end
  end
  return true
end
if match(3, expected - 1) then return '1' end
if not match(expected, #ARGV) then return '0' end
for i = 3, expected - 1, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
return '1'
