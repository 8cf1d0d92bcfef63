-- Removes expired records of hours and days, except the newest of each, which the first
-- periods that are shown continue. Needs now, hours, days, retention and HOURS.

local clock = math.floor(now / 3600000000)
for key, first in pairs({ [hours] = clock - HOURS + 1, [days] = math.floor(clock / 24) - retention + 1 }) do
  local records, expired = redis.call('HGETALL', key), {}
  for i = 1, #records, 2 do
    local number = tonumber(records[i])
    if number < first then expired[#expired + 1] = number end
  end
  table.sort(expired)
  expired[#expired] = nil
  if expired[1] then redis.call('HDEL', key, unpack(expired)) end
end
