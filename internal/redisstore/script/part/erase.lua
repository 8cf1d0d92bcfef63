-- Erases the journal entries at places, which may be nil. Needs places, journals and version.

if places and places[1] then
-- include check_rights
  local first = 1 -- of adjacent entries
  for i = 1, #places do
    if journals[i + 1] ~= journals[i] or places[i + 1] ~= places[i] + 16 then
      redis.call('SETRANGE', journals[i], places[first], string.rep('\0', 16 * (i + 1 - first)))
      first = i + 1
    end
  end
end
