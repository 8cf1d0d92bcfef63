-- Forgets the traces at places, if any.

for i = 1, places and #places or 0 do
  redis.call('SETRANGE', KEYS[3], places[i], string.rep('\0', 16))
end
