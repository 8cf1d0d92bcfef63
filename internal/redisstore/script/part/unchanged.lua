-- Returns the reply of edit.lua for a topic that does not change.

if not changed then
  return string.format('%.0f %.0f 0,', count, version) .. was .. string.format(',%.0f,%.0f', seed, adjustment)
end
