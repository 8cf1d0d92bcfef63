-- Reads a topic. Ends the script if the topic is frozen (see mark.lua), and for a step of
-- a merge if that merge has not frozen it. Needs mark, that of the merge, or ''. Sets
-- state, count, version, stored (the depth), seed, adjustment, contributed (the sum of
-- contributions), and was, the numbers as text.

local state = redis.call('HMGET', KEYS[1], 'n', 'v', 'd', 'r', 's', 'a', 'e')
local frozen = state[7] and string.byte(state[7]) == 33
if mark == '' and frozen or mark ~= '' and state[7] ~= mark then return '-2' .. (state[7] or '') end
local count, version, stored = tonumber(state[1] or 0), tonumber(state[2] or 0), tonumber(state[3] or 0)
local seed, adjustment = tonumber(state[5] or 0), tonumber(state[6] or 0)
if not (count and version and stored and seed and adjustment) then
  return redis.error_reply('BADDATA the count of this topic is not made of numbers')
end
local contributed = count - seed - adjustment
local was = string.format('%.0f,%.0f,%.0f,%.0f', count, version, seed, adjustment)
