-- Appends entries to the journal, see append.lua. An entry has 16 bytes: the member's 8, its source
-- in 4, the minute in 4, big-endian. Needs entries without the minute.

if entries[1] then
  local minute = struct.pack('>I4', math.floor(now / 60000000))
  local packed = table.concat(entries, minute) .. minute
-- include append
end
