-- Appends packed, entries with their minute, to the journal, which is the last of KEYS. Its
-- retention is at the end of ARGV[2]. Adds j to results if it left out an entry. Needs now.
-- An error of the journal does not prevent the write.

local FULL = 67108864 -- 64 MiB a topic and day, 4 million contributions
local day = KEYS[#KEYS]
local length = state[4] ~= day and redis.pcall('APPEND', day, packed)
if type(length) ~= 'number' then
  results = results .. 'j'
elseif length == #packed then
  -- The day's last entries are kept for the retention, its first for a day longer.
  local set = redis.pcall('PEXPIREAT', day, string.format('%.0f', now / 1000 + string.match(ARGV[2], '%d+$') + 86400000))
  if type(set) ~= 'number' then results = results .. 'j' end
elseif length >= FULL then
  redis.call('HSET', KEYS[1], 'j', day)
end
