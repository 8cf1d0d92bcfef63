-- Raises the adjustment by raised, so that withdrawn contributions do not bring the count
-- below 0. Needs raised.

if raised > 0 then
  redis.call('HSET', KEYS[1], 'a', string.format('%.0f', (redis.call('HGET', KEYS[1], 'a') or 0) + raised))
end
