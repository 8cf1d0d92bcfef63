-- Raises the greatest count of the hour and the day to sum. Pages that do not exist must not fill
-- the store: if the topic has no records, the peak of the first hour stays in the key that expires
-- with its presence, in the fields h and g. A later hour makes it a record if ARGV[8] is 1. Needs
-- sum, now, the keys KEYS[1], KEYS[3] and KEYS[4], and ARGV[9], the retention of the records of
-- days, in days.

if sum > 0 and ARGV[9] ~= '0' then
  local HOURS = 192 -- that are kept
  local hours, days, retention = KEYS[3], KEYS[4], ARGV[9]
  local hour, isNew = math.floor(now / 3600000000), false
  local function raise(at, count)
    for _, period in ipairs({ { hours, at, HOURS + 1 }, { days, math.floor(at / 24), (retention + 1) * 24 } }) do
      local key, number = period[1], string.format('%.0f', period[2])
      local greatest = redis.call('HGET', key, number)
      if not greatest then
        isNew = true
        redis.call('HSET', key, number, string.format('%.0f', count))
        redis.call('PEXPIRE', key, string.format('%.0f', period[3] * 3600000))
      elseif tonumber(greatest) < count then
        redis.call('HSET', key, number, string.format('%.0f', count))
      end
    end
  end
  local first = redis.call('HMGET', KEYS[1], 'h', 'g')
  local begun, greatest = tonumber(first[1]), tonumber(first[2])
  if begun == hour or not (begun and ARGV[8] == '1') and redis.call('HLEN', days) == 0 then
    if begun ~= hour or greatest < sum then
      redis.call('HSET', KEYS[1], 'h', string.format('%.0f', hour), 'g', string.format('%.0f', sum))
      redis.call('PEXPIRE', KEYS[1], ARGV[5])
    end
  else
    if begun then
      raise(begun, greatest)
      redis.call('HDEL', KEYS[1], 'h', 'g')
    end
    raise(hour, sum)
  end
  if isNew then
-- include prune
  end
end
