-- Appends an entry to the audit log, once however often it arrives.
--
-- KEYS[1]  stream
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  what names this entry alone
-- ARGV[3]  when it was, microseconds since the Unix epoch; 0: now
-- ARGV[4…] actor, action, target, detail
--
-- Returns '0'. Too late: -1.

local RECENT = 64 -- entries among which one that arrives again is looked for

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if now > tonumber(ARGV[1]) then return '-1' end
local recent = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', RECENT)
for i = 1, #recent do
  local fields = recent[i][2]
  if fields[1] == 'id' and fields[2] == ARGV[2] then return '0' end
end
local at = ARGV[3]
if at == '0' then at = string.format('%.0f', now) end
redis.call('XADD', KEYS[1], '*', 'id', ARGV[2], 'at', at,
  'actor', ARGV[4], 'action', ARGV[5], 'target', ARGV[6], 'detail', ARGV[7])
return '0'
