-- Where contributions that are taken back would bring the count below 0 the
-- adjustment rises instead. It wants raised.

if raised > 0 then
  redis.call('HSET', KEYS[1], 'a', string.format('%.0f', (redis.call('HGET', KEYS[1], 'a') or 0) + raised))
end
