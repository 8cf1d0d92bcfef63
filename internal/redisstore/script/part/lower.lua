-- Lowers the records since each contribution that is withdrawn. Needs withdrawn, an hour of the
-- history to the sum of the contributions of that hour, lowers, which is '1' if the records are
-- to be lowered, and what record.lua needs. Sets reduction, a function that returns by how
-- much the record of a period is lowered, for record.lua, which comes after this.

reduction = nil -- that of the topic before
if lowers == '1' and retention ~= '0' and next(withdrawn) then
  reduction = function(number, length) -- hours of a period
    local by = 0
    for hour, amount in pairs(withdrawn) do
      if math.floor(hour / length) <= number then by = by + amount end
    end
    return by
  end
  local earliest = math.huge
  for hour in pairs(withdrawn) do earliest = math.min(earliest, hour) end
  for key, length in pairs({ [hours] = 1, [days] = 24 }) do
    -- Records are of earlier periods than the version.
    local mayExist = math.floor(earliest / length) < math.floor(version / HOUR / length)
    local records = mayExist and redis.call('HGETALL', key) or {}
    for i = 1, #records, 2 do
      local by = reduction(tonumber(records[i]), length)
      local gain, rest = string.match(records[i + 1], '^(-?%d+)(.*)$')
      if by ~= 0 then redis.call('HSET', key, records[i], string.format('%.0f', gain - by) .. rest) end
    end
  end
end
