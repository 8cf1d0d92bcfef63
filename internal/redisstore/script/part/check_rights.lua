-- Fails if a right is missing, before the first write: scripts are not rolled back. The
-- calls change nothing. Needs version and checked.

if not checked then
  checked = true
  redis.call('HDEL', KEYS[1], '-')
  if version > 0 then redis.call('HSET', KEYS[1], 'v', string.format('%.0f', version)) end
end
