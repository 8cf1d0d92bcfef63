-- Merges the history of the portion with that of the topic, as [tally.MergeRecords] does, or
-- replaces that of the topic if ARGV[6] is final. Hours and days are "number gain adjustment," of
-- each record. Needs ARGV[13…], gained, isComplete, after, and the keys hours and days.

if ARGV[13] then
  local replaces = ARGV[6] == 'final'
  if replaces then redis.call('UNLINK', hours, days) end
  if gained == 0 or replaces then
    gained, isComplete = tonumber(ARGV[13]), ARGV[14] == '1'
  else
    gained = math.max(gained, tonumber(ARGV[13]))
  end
  for _, period in ipairs({ { hours, 1, ARGV[15], 193 }, { days, 24, ARGV[16], (ARGV[12] + 1) * 24 } }) do
    local key, present = period[1], math.floor(after / 3600000000 / period[2])
    local records, own, imported, numbers = redis.call('HGETALL', key), {}, {}, {}
    for i = 1, #records, 2 do
      local number = tonumber(records[i])
      local gain, adjustment = string.match(records[i + 1], '^(%S+) ?(%S*)$')
      own[number] = { tonumber(gain), tonumber(adjustment) or 0 }
      numbers[#numbers + 1] = number
    end
    for text, gain, adjustment in string.gmatch(period[3], '(%S+) (%S+) (%S+),') do
      local number = tonumber(text)
      imported[number] = { tonumber(gain), tonumber(adjustment) }
      if not own[number] then numbers[#numbers + 1] = number end
    end
    table.sort(numbers)
    local ours, theirs, wrote = nil, nil, false -- records of the last period that has one
    for _, number in ipairs(numbers) do
      ours, theirs = own[number] or ours, imported[number] or theirs
      if number < present then
        local record = string.format('%.0f', math.max((ours or theirs)[1], (theirs or ours)[1]))
        local adjustment = (ours or theirs)[2]
        if adjustment ~= 0 then record = record .. string.format(' %.0f', adjustment) end
        redis.call('HSET', key, string.format('%.0f', number), record)
        wrote = true
      end
    end
    if wrote then redis.call('PEXPIRE', key, string.format('%.0f', period[4] * 3600000)) end
  end
end
