-- Edits a topic.
--
-- KEYS[1]  hash, as in apply.lua
-- KEYS[2…] for reset and delete: members, the version at which the topic was deleted, the
--          hours and the days of its history, and its journals; else hours and days
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  kind: seed, adjustment, count, base, reset, delete
-- ARGV[3]  channel
-- ARGV[4]  head of the topic's frames
-- ARGV[5]  value; in a choice metric that of each option
-- ARGV[6]  version that the topic must have; 0: any
-- ARGV[7]  mark of the merge that this is a step of, or empty
-- ARGV[8]  number of options; 1: the metric is not a choice
-- ARGV[9]  retention of the history, days; 0: no history
--
-- Returns a text: count, version and seven parts between semicolons: 1 if it changed,
-- else 0; count, version, seed and adjustment before; seed and adjustment after. Count, seed
-- and adjustment are as in part/numbers.lua. Then, if the publication failed, the reason.
-- Deadline passed: -1. Frozen: -2 and the mark.

-- include deadline
local mark, options = ARGV[7], tonumber(ARGV[8])
-- include topic
local kind, depth = ARGV[2], stored
local clears, expected = kind == 'reset' or kind == 'delete', ARGV[6] == '0' or tonumber(ARGV[6]) == version
local changed, after, retention = false, math.max(version + 1, now), ARGV[9]
local hours, days = KEYS[clears and 4 or 2], KEYS[clears and 5 or 3]
if expected and clears and version > 0 then
-- include check_rights
  redis.call('UNLINK', KEYS[3]) -- checks the right: the key does not exist
  if kind == 'delete' then redis.call('SET', KEYS[3], string.format('%.0f', after), 'PX', 3600000) end -- see part/restore_begin.lua
  redis.call('UNLINK', KEYS[2], unpack(KEYS, 4))
  redis.call('HDEL', KEYS[1], 'd', 'j', 'r', 'p')
  if retention ~= '0' then redis.call('HSET', KEYS[1], 'p', '~0') end
  retention = '0' -- the past has ended
  changed = kind == 'delete'
  for i = 1, #counts do
    changed = changed or counts[i] ~= 0 or seeds[i] ~= 0 or adjustments[i] ~= 0
    seeds[i], adjustments[i], sums[i] = 0, 0, 0
  end
elseif expected and not clears then
  changed = version == 0
  for i, value in ipairs(parse(ARGV[5], options)) do
    local seed, adjustment = seeds[i], adjustments[i]
    if kind == 'seed' then
      seed = value
    elseif kind == 'adjustment' then
      adjustment = math.max(value, -seed - sums[i])
    elseif kind == 'base' then
      adjustment = value - seed
    else
      adjustment = value - seed - sums[i]
    end
    changed = changed or seed ~= seeds[i] or adjustment ~= adjustments[i]
    seeds[i], adjustments[i] = seed, adjustment
  end
end
if not changed then return result(format(counts), string.format('%.0f', version), '0') end
for i = 1, #counts do counts[i] = seeds[i] + adjustments[i] + sums[i] end
if kind == 'delete' then
  redis.call('UNLINK', KEYS[1])
  local n, v, channel, head = format(counts), string.format('%.0f', after), ARGV[3], ARGV[4]
  local reply = result(n, v, '1')
-- include reply
end

-- include record
-- include publish
