-- Reads a topic and some of its members, in the order of their paths: each member is read
-- once, though buckets are divided meanwhile.
--
-- KEYS[1]  hash, as in apply.lua
-- KEYS[2]  members, as in apply.lua
-- ARGV[1]  the first path of six digits, as a number
-- ARGV[2]  how many bytes of members to read, about
--
-- Returns count, version, seed, adjustment, the next path as a number (16^6 at the end),
-- 0, and buckets, of which the first may have members before ARGV[1].

local END = 16777216 -- 16 to the sixth

local state = redis.call('HMGET', KEYS[1], 'n', 'v', 's', 'a', 'd')
local at, depth, bytes = tonumber(ARGV[1]), tonumber(state[5] or 0), 0
local reply = { state[1] or '0', state[2] or '0', state[3] or '0', state[4] or '0', '', '0' }
while at < END and bytes < tonumber(ARGV[2]) do
  local path, paths = string.format('%06x', at), {}
  for level = 0, depth do paths[level + 1] = string.sub(path, 1, level) end
  local found, bucket, level = redis.call('HMGET', KEYS[2], unpack(paths)), nil, depth
  while level > 0 and not found[level + 1] do level = level - 1 end
  bucket = found[level + 1]
  if not bucket then
    at = END
  else
    if bucket ~= '' then
      bytes = bytes + #bucket
      reply[#reply + 1] = bucket
    end
    local width = 16 ^ (6 - level) -- paths of six digits below the bucket
    at = (math.floor(at / width) + 1) * width
  end
end
reply[5] = string.format('%.0f', at)
return reply
