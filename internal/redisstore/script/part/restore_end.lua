-- Ends what restore_begin.lua began. If nothing grew, it merges the history and publishes
-- nothing. Needs sums, of contributions.

for i = 1, #sums do restored = restored + sums[i] end -- counts may be the same table
for i = 1, #counts do counts[i] = math.max(seeds[i] + adjustments[i] + sums[i], 0) end
changed = first or changed or least > version or
  was ~= table.concat({ format(counts), string.format('%.0f', version), format(seeds), format(adjustments) }, ';')
if least > 0 then now = 0 end -- a topic that is moved keeps its age
local after, hours, days = version, KEYS[4], KEYS[5]
if changed then after = math.max(version + 1, now, least) end
if retention ~= '0' and (changed or ARGV[13]) then
  if first then retention = '0' end -- there is no past
-- include record
  local isComplete = prior and not string.find(prior, '~')
-- include merge_past
  redis.call('HSET', KEYS[1], 'p', (isComplete and '' or '~') .. string.format('%.0f', restored - gained))
end
if ARGV[6] == 'final' then redis.call('HSET', KEYS[1], 'e', ARGV[#ARGV]) end
-- include unchanged
-- include publish
