-- Takes back what members contributed, 0 or 1 each: those given, or those of traces
-- that are in the journal still, which are forgotten.
--
-- KEYS[1]  hash, as in apply.lua
-- KEYS[2]  members, as in apply.lua
-- KEYS[3]  journal of the traces, where there are some
-- KEYS[4…] unless each trace counts, as in a window, the journals that may have become
--          longer since the caller read them
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  window, milliseconds; 0: members stay
-- ARGV[3]  channel
-- ARGV[4]  head of the topic's frames
-- ARGV[5]  writes of the digit 0, see part/find.lua
-- ARGV[6]  version that the topic must have; 0: any
-- ARGV[7]  empty, or of each write the place of its trace in the journal in 4 bytes and
--          its minute in 4
-- ARGV[8…] length of each of KEYS[4…] as far as the caller read it
--
-- Returns what edit.lua returns.

-- include begin
local mark = ''
-- include topic
local writes, size, window = ARGV[5], 19, tonumber(ARGV[2])
-- include traces

local journal, before = false, count
-- include find
if window > 0 and places then
  -- A window forgets its members, and each trace was counted.
  count, changed, raised = before - #places, #places > 0, 0
end
-- include forget
if not changed then
  return string.format('%.0f %.0f 0,', count, version) .. was .. string.format(',%.0f,%.0f', seed, adjustment)
end

-- include keep
local least = 0
adjustment = adjustment + raised
-- include publish
