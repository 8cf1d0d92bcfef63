-- Updates a site's directory; ignores versions that are not newer.
--
-- KEYS[1]  sorted set: metric/key by version
-- ARGV[1…] metric/key, version of each topic, at most 200; the version is negative if the
--          topic was deleted then
--
-- Returns '0'.

local newer = {}
for i = 1, #ARGV, 2 do
  local version = tonumber(ARGV[i + 1])
  if version > 0 then
    newer[#newer + 1] = ARGV[i + 1]
    newer[#newer + 1] = ARGV[i]
  elseif (tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i]) or nil) or math.huge) <= -version then
    redis.call('ZREM', KEYS[1], ARGV[i])
  end
end
if newer[1] then redis.call('ZADD', KEYS[1], 'GT', unpack(newer)) end
return '0'
