-- Raises the greatest count of the hour and the day to sum. Needs sum, now, the keys KEYS[3]
-- and KEYS[4], and ARGV[8], the retention of the records of days, in days.

if sum > 0 and ARGV[8] ~= '0' then
  local HOURS = 192 -- that are kept
  local hours, days, retention = KEYS[3], KEYS[4], ARGV[8]
  local hour, isNew = math.floor(now / 3600000000), false
  for _, period in ipairs({ { hours, hour, HOURS + 1 }, { days, math.floor(hour / 24), (retention + 1) * 24 } }) do
    local key, number = period[1], string.format('%.0f', period[2])
    local greatest = redis.call('HGET', key, number)
    if not greatest then
      isNew = true
      redis.call('HSET', key, number, string.format('%.0f', sum))
      redis.call('PEXPIRE', key, string.format('%.0f', period[3] * 3600000))
    elseif tonumber(greatest) < sum then
      redis.call('HSET', key, number, string.format('%.0f', sum))
    end
  end
  if isNew then
-- include prune
  end
end
