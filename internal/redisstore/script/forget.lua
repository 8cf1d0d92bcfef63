-- Forgets traces that are in the journal still. Doing it again is harmless.
--
-- KEYS[1]  journal
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  place of each in the journal, 4 bytes, and the trace, 16
--
-- Returns '0'. Too late: -1.

-- include begin
for at = 1, #ARGV[2], 20 do
  local a, b, c, d = string.byte(ARGV[2], at, at + 3)
  local place = ((a * 256 + b) * 256 + c) * 256 + d
  if redis.call('GETRANGE', KEYS[1], place, place + 15) == string.sub(ARGV[2], at + 4, at + 19) then
    redis.call('SETRANGE', KEYS[1], place, string.rep('\0', 16))
  end
end
return '0'
