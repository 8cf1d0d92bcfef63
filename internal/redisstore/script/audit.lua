-- Appends entries to the audit log. Repeating it is harmless.
--
-- KEYS[1]  stream
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  unique id of the call, which its entries have
-- ARGV[3…] for each entry: time, microseconds since the Unix epoch, 0: now; actor, action, target, detail, sites
--
-- Returns '0'. Deadline passed: -1.

local RECENT = 64 -- entries that are searched for the id

-- include deadline
local recent = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', RECENT)
for i = 1, #recent do
  local fields = recent[i][2]
  if fields[1] == 'id' and fields[2] == ARGV[2] then return '0' end
end
for i = 3, #ARGV, 6 do
  local at = ARGV[i]
  if at == '0' then at = string.format('%.0f', now) end
  redis.call('XADD', KEYS[1], '*', 'id', ARGV[2], 'at', at, 'actor', ARGV[i + 1], 'action', ARGV[i + 2],
    'target', ARGV[i + 3], 'detail', ARGV[i + 4], 'sites', ARGV[i + 5])
end
return '0'
