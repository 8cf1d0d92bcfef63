-- Erases the journal entries at places, which may be nil. Needs places and version.

if places and places[1] then
-- include check_rights
end
for i = 1, places and #places or 0 do
  redis.call('SETRANGE', KEYS[3], places[i], string.rep('\0', 16))
end
