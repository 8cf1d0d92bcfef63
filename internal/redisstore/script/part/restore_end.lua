-- Ends what restore_begin.lua began. If nothing grew, it merges the history and publishes
-- nothing. Needs sums, of contributions.

for i = 1, #sums do restored = restored + sums[i] end -- counts may be the same table
for i = 1, #counts do counts[i] = math.max(seeds[i] + adjustments[i] + sums[i], 0) end
changed = isNew or changed or portionVersion > version or
  before ~= table.concat({ format(counts), string.format('%.0f', version), format(seeds), format(adjustments) }, ';')
if portionVersion > 0 then now = 0 end -- a topic that is moved keeps its version
local after, hours, days = version, KEYS[4], KEYS[5]
if changed then after = math.max(version + 1, now, portionVersion) end
if retention ~= '0' and (changed or ARGV[13]) then
  if isNew then retention = '0' end -- there is no past
-- include record
  local isComplete = prior and not string.find(prior, '~')
-- include merge_past
  redis.call('HSET', KEYS[1], 'p', (isComplete and '' or '~') .. string.format('%.0f', restored - gained))
end
if ARGV[6] == 'final' then redis.call('HSET', KEYS[1], 'e', ARGV[#ARGV]) end
if not changed then return result(format(counts), string.format('%.0f', version), '0') end
-- include publish
