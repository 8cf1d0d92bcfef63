-- Ends what place.lua began: nothing is published where nothing became more. It wants
-- count, what contributions add now.

count = math.max(seed + adjustment + count, 0)
if not first and not changed and least <= version and
    was == string.format('%.0f,%.0f,%.0f,%.0f', count, version, seed, adjustment) then
  return string.format('%.0f %.0f 0,', count, version) .. was .. string.format(',%.0f,%.0f', seed, adjustment)
end
if least > 0 then now = 0 end -- a topic that is moved stays as old as it was
-- include publish
