-- Fails if a right is missing, before the first write: scripts are not rolled back. The
-- calls change nothing. Needs state, of which the second is the stored version, and checked.
-- HDEL comes first: Redis allows it above the memory limit, and then the writes after it.

if not checked then
  checked = true
  redis.call('HDEL', KEYS[1], '-')
  if state[2] then redis.call('HSET', KEYS[1], 'v', state[2]) end
end
