-- Ends the script if its deadline has passed. Sets now, microseconds of this server's
-- clock, and checked, whether check_rights.lua ran.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if now > tonumber(ARGV[1]) then return '-1' end
local checked = false
