-- Replaces the mark of a topic, which need not exist.
--
-- KEYS[1]  hash, as in apply.lua: e the mark. One that begins with ! freezes the topic:
--          scripts that change contributions or numbers answer -2 and the mark, except
--          to the merge that set it. Another admits contributions of the same mark only.
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  mark that is expected; empty: none
-- ARGV[3]  mark to set; empty: none
--
-- Returns '=' and the mark that the topic has then. Too late: -1.

-- include begin
local mark = redis.call('HGET', KEYS[1], 'e') or ''
if mark == ARGV[2] and mark ~= ARGV[3] then
  mark = ARGV[3]
  if mark == '' then redis.call('HDEL', KEYS[1], 'e') else redis.call('HSET', KEYS[1], 'e', mark) end
end
return '=' .. mark
