-- Sets entries of a hash if others have the expected values.
--
-- KEYS[1]  hash: name to value
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  entry that gets a new value with each change, greater than before; empty for none
-- ARGV[3]  number of entries to set
-- ARGV[4…] name, value of each; an empty value removes the entry
-- ARGV[…]  name, expected value of others; empty: no entry
--
-- Returns '1' if the entries have their values now, else '0'. Deadline passed: -1.

-- include deadline
local expected = 4 + 2 * ARGV[3]
local function match(from, to)
  for i = from, to, 2 do
    if (redis.call('HGET', KEYS[1], ARGV[i]) or '') ~= ARGV[i + 1] then return false end
  end
  return true
end
if match(4, expected - 1) then return '1' end
if not match(expected, #ARGV) then return '0' end
for i = 4, expected - 1, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
if ARGV[2] ~= '' then
  local before = tonumber(redis.call('HGET', KEYS[1], ARGV[2])) or 0
  redis.call('HSET', KEYS[1], ARGV[2], string.format('%.0f', math.max(before + 1, now)))
end
return '1'
