-- Stores a heartbeat, see part/heartbeat.lua.
--
-- KEYS[1]  heartbeats
-- KEYS[2]  activity of the day
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2…] the heartbeat
--
-- Returns '0'. Deadline passed: -1.

-- include deadline
-- include heartbeat
local heartbeat = {}
for i = 2, #ARGV do heartbeat[i - 1] = ARGV[i] end
store_heartbeat(KEYS[1], KEYS[2], math.floor(now / 1000), heartbeat)
return '0'
