-- Erases journal entries that are still there. Repeating it is harmless.
--
-- KEYS[1]  journal
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  place of each entry in the journal, 4 bytes, and the entry, 16
--
-- Returns '0'. Deadline passed: -1.

-- include deadline
for at = 1, #ARGV[2], 20 do
  local a, b, c, d = string.byte(ARGV[2], at, at + 3)
  local place = ((a * 256 + b) * 256 + c) * 256 + d
  if redis.call('GETRANGE', KEYS[1], place, place + 15) == string.sub(ARGV[2], at + 4, at + 19) then
    redis.call('SETRANGE', KEYS[1], place, string.rep('\0', 16))
  end
end
return '0'
