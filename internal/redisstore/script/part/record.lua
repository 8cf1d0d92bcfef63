-- Records the state before a change as that of its hour and its day, if the change is in a
-- later one; see [tally.History] and doc.go. Needs version, after (the version of the change),
-- now, the keys hours and days, retention, of the records of days, in days ('0': there is no
-- history, or the change ends it), and reduction, see lower.lua. Comes before n and v are written.

local HOUR = 3600000000 -- microseconds
-- Removes the records of a deleted topic. UNLINK is allowed above the memory limit, and would
-- allow the writes after it.
local function forget()
  if redis.call('HLEN', hours) + redis.call('HLEN', days) > 0 then redis.call('UNLINK', hours, days) end
end
if retention ~= '0' and version == 0 then
  forget() -- an earlier release may have deleted a topic of this name
  redis.call('HSET', KEYS[1], 'p', '0')
elseif retention ~= '0' and math.floor(version / HOUR) < math.floor(after / HOUR) then
  local HOURS = 192 -- that are kept
-- include total
  local past = redis.call('HMGET', KEYS[1], 'n', 's', 'a', 'p')
  local adjustment = total(past[3])
  local sum, prior = total(past[1]) - total(past[2]) - adjustment, past[4]
  if not prior then
    forget()
    prior = string.format('~%.0f', sum)
    redis.call('HSET', KEYS[1], 'p', prior)
  end
  local gain, rest = sum - string.match(prior, '-?%d+'), adjustment ~= 0 and string.format(' %.0f', adjustment) or ''
  local function store(key, length, kept) -- hours of a period, and of the retention
    local number = math.floor(version / HOUR / length)
    local record = string.format('%.0f', reduction and gain - reduction(number, length) or gain) .. rest
    redis.call('HSET', key, string.format('%.0f', number), record)
    redis.call('PEXPIRE', key, string.format('%.0f', kept * 3600000))
  end
  store(hours, 1, HOURS + 1)
  if math.floor(version / HOUR / 24) < math.floor(after / HOUR / 24) then
    store(days, 24, (retention + 1) * 24)
-- include prune
  end
end
