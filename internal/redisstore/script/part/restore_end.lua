-- Ends what restore_begin.lua began. If nothing grew, it publishes nothing. Needs sums, of
-- contributions.

for i = 1, #counts do counts[i] = math.max(seeds[i] + adjustments[i] + sums[i], 0) end
changed = first or changed or least > version or
  was ~= table.concat({ format(counts), string.format('%.0f', version), format(seeds), format(adjustments) }, ';')
-- include unchanged
if least > 0 then now = 0 end -- a topic that is moved keeps its age
-- include publish
