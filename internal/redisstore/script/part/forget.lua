-- Forgets the traces at places, if any. It wants version.

if places and places[1] then
-- include rights
end
for i = 1, places and #places or 0 do
  redis.call('SETRANGE', KEYS[3], places[i], string.rep('\0', 16))
end
