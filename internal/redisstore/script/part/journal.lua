-- Appends entries to the journal, 16 bytes each: the member's 8, its source in 4, the
-- minute in 4, big-endian. Needs entries without the minute; now; the journal, which is the
-- last of KEYS; ARGV[6], its retention; and results, to which it adds j if it left out an
-- entry.
-- An error of the journal does not prevent the write.

if entries[1] then
  local FULL = 67108864 -- 64 MiB a topic and day, 4 million contributions
  local minute = struct.pack('>I4', math.floor(now / 60000000))
  local packed = #entries == 1 and entries[1] .. minute or table.concat(entries, minute) .. minute
  local length = state[4] ~= KEYS[#KEYS] and redis.pcall('APPEND', KEYS[#KEYS], packed)
  if type(length) ~= 'number' then
    results = results .. 'j'
  elseif length == #packed then
    -- The day's last entries are kept for the retention, its first for a day longer.
    local set = redis.pcall('PEXPIREAT', KEYS[#KEYS], string.format('%.0f', now / 1000 + ARGV[6] + 86400000))
    if type(set) ~= 'number' then results = results .. 'j' end
  elseif length >= FULL then
    redis.call('HSET', KEYS[1], 'j', KEYS[#KEYS])
  end
end
