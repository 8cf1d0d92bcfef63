-- Fails if a right is missing, before the first write: scripts are not rolled back. The
-- calls change nothing. Needs state, of which the second is the stored version, checked, and
-- removes, whether HDEL will be called.

if not checked then
  checked = true
  if removes then redis.call('HDEL', KEYS[1], '-') end
  if state[2] then redis.call('HSET', KEYS[1], 'v', state[2]) end
end
