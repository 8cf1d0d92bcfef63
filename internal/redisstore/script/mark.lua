-- Replaces the mark of a topic, which need not exist.
--
-- KEYS[1]  hash, as in apply.lua: e the mark. A mark that begins with ! freezes the topic:
--          scripts that change it answer -2 and the mark, except to the merge that set
--          it. Contributions must carry the mark of the topic.
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  expected mark; empty: none
-- ARGV[3]  new mark; empty: none
--
-- Returns '=' and the mark afterwards. Deadline passed: -1.

-- include deadline
local mark = redis.call('HGET', KEYS[1], 'e') or ''
if mark == ARGV[2] and mark ~= ARGV[3] then
  mark = ARGV[3]
  if mark == '' then redis.call('HDEL', KEYS[1], 'e') else redis.call('HSET', KEYS[1], 'e', mark) end
end
return '=' .. mark
