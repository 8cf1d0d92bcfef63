-- What is stored of a topic. Gives state, count, version, stored (the depth), seed,
-- adjustment, contributed (what contributions add), and was, these numbers as text.

local state = redis.call('HMGET', KEYS[1], 'n', 'v', 'd', 'r', 's', 'a')
local count, version, stored = tonumber(state[1] or 0), tonumber(state[2] or 0), tonumber(state[3] or 0)
local seed, adjustment = tonumber(state[5] or 0), tonumber(state[6] or 0)
if not (count and version and stored and seed and adjustment) then
  return redis.error_reply('BADDATA the count of this topic is not made of numbers')
end
local contributed = count - seed - adjustment
local was = string.format('%.0f,%.0f,%.0f,%.0f', count, version, seed, adjustment)
