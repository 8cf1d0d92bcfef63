-- Compares topics with the states that an instance holds.
--
-- KEYS  of each topic, hash: n count, v version
-- ARGV  of each topic: count and version that the instance holds, separated by a space; empty if
--       it holds version 0
--
-- Returns the numbers, from 1, of topics with another state, and of those that cannot be read.

local different = {}
for i, key in ipairs(KEYS) do
  local state = redis.pcall('HMGET', key, 'n', 'v')
  local text = ''
  if state[2] then text = (state[1] or '0') .. ' ' .. state[2] end
  if state.err or text ~= ARGV[i] then different[#different + 1] = i end
end
return different
