-- Updates a site's directories; ignores versions that are not newer.
--
-- KEYS[1]  sorted set: metric/key by version
-- KEYS[2]  sorted set: metric/key, all with the score 0 and thus by name
-- ARGV[1…] metric/key, version of each topic, at most 200; the version is negative if the
--          topic was deleted then
--
-- Returns '0'.

local KEYS, ARGV = KEYS, ARGV -- access to globals takes longer
local newer, names = {}, {}
for i = 1, #ARGV, 2 do
  local name, version = ARGV[i], ARGV[i + 1]
  if string.byte(version) ~= 45 then -- a minus
    newer[#newer + 1] = version
    newer[#newer + 1] = name
    names[#names + 1] = '0'
    names[#names + 1] = name
  elseif (tonumber(redis.call('ZSCORE', KEYS[1], name) or nil) or 0) <= -version then
    redis.call('ZREM', KEYS[1], name)
    redis.call('ZREM', KEYS[2], name)
  end
end
if newer[1] then
  redis.call('ZADD', KEYS[1], 'GT', unpack(newer))
  redis.call('ZADD', KEYS[2], unpack(names))
end
return '0'
