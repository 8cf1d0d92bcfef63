-- Returns the reply of edit.lua for a topic that does not change.

if not changed then
  return format(counts) .. string.format(' %.0f 0;', version) .. was .. ';' .. format(seeds) .. ';' .. format(adjustments) .. detail
end
