-- Ends what restore_begin.lua began. If nothing grew, it publishes nothing. Needs count,
-- the sum of contributions.

count = math.max(seed + adjustment + count, 0)
changed = first or changed or least > version or
  was ~= string.format('%.0f,%.0f,%.0f,%.0f', count, version, seed, adjustment)
-- include unchanged
if least > 0 then now = 0 end -- a topic that is moved keeps its age
-- include publish
