-- Erases the journal entries at places, which may be nil, see present.lua. Needs state.

if places and places[1] then
-- include check_rights
  local first = 1 -- of adjacent entries
  for i = 1, #places do
    if places[i + 1] ~= places[i] + 16 then
      local place = places[first] % 4294967296
      redis.call('SETRANGE', KEYS[(places[first] - place) / 4294967296], place, string.rep('\0', 16 * (i + 1 - first)))
      first = i + 1
    end
  end
end
