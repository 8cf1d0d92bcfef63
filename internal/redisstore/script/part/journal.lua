-- Appends traces to the journal: 16 bytes each, the member's 8, its source in 4, the
-- minute in 4, the highest first. It wants traces, now, KEYS[3], the journal, ARGV[6],
-- how long it is kept, and results, to which it adds j where a trace was left out.
-- Whatever happens to the journal, what visitors contribute is stored.

if traces[1] then
  local FULL = 67108864 -- 64 MiB a topic and day, 4 million contributions
  local minute = struct.pack('>I4', math.floor(now / 60000000))
  local packed = #traces == 1 and traces[1] .. minute or table.concat(traces, minute) .. minute
  local length = state[4] ~= KEYS[3] and redis.pcall('APPEND', KEYS[3], packed)
  if type(length) ~= 'number' then
    results = results .. 'j'
  elseif length == #packed then
    -- The last of its day are kept as long as it says, the first a day longer.
    local set = redis.pcall('PEXPIREAT', KEYS[3], string.format('%.0f', now / 1000 + ARGV[6] + 86400000))
    if type(set) ~= 'number' then results = results .. 'j' end
  elseif length >= FULL then
    redis.call('HSET', KEYS[1], 'j', KEYS[3])
  end
end
