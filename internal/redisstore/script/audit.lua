-- Appends an entry to the audit log. Repeating it is harmless.
--
-- KEYS[1]  stream
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  unique id of the entry
-- ARGV[3]  time of the entry, microseconds since the Unix epoch; 0: now
-- ARGV[4…] actor, action, target, detail, sites
--
-- Returns '0'. Deadline passed: -1.

local RECENT = 64 -- entries that are searched for the id

-- include deadline
local recent = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', RECENT)
for i = 1, #recent do
  local fields = recent[i][2]
  if fields[1] == 'id' and fields[2] == ARGV[2] then return '0' end
end
local at = ARGV[3]
if at == '0' then at = string.format('%.0f', now) end
redis.call('XADD', KEYS[1], '*', 'id', ARGV[2], 'at', at,
  'actor', ARGV[4], 'action', ARGV[5], 'target', ARGV[6], 'detail', ARGV[7], 'sites', ARGV[8])
return '0'
