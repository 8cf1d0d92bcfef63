-- Updates a site's directories; ignores versions that are not newer.
--
-- KEYS[1]  sorted set: metric/key by version
-- KEYS[2]  sorted set: metric/key, all with the score 0 and thus by name
-- ARGV[1…] metric/key, version of each topic, at most 200; the version is negative if the
--          topic was deleted then
--
-- Returns '0'.

local newer, names = {}, {}
for i = 1, #ARGV, 2 do
  local version = tonumber(ARGV[i + 1])
  if version > 0 then
    newer[#newer + 1] = ARGV[i + 1]
    newer[#newer + 1] = ARGV[i]
    names[#names + 1] = 0
    names[#names + 1] = ARGV[i]
  elseif (tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i]) or nil) or 0) <= -version then
    redis.call('ZREM', KEYS[1], ARGV[i])
    redis.call('ZREM', KEYS[2], ARGV[i])
  end
end
if newer[1] then
  redis.call('ZADD', KEYS[1], 'GT', unpack(newer))
  redis.call('ZADD', KEYS[2], unpack(names))
end
return '0'
