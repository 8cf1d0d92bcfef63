-- Ends the script if its deadline has passed. Sets now, microseconds of this server's clock,
-- nowText, the same as a text, and checked, whether check_rights.lua ran. Declares reduction, see
-- lower.lua.

local time = redis.call('TIME')
local now, nowText = time[1] * 1000000 + time[2], time[1] .. time[2]
if #time[2] < 6 then nowText = string.format('%.0f', now) end
-- Texts of whole numbers: to convert the deadline takes longer.
if #nowText > #ARGV[1] or #nowText == #ARGV[1] and nowText > ARGV[1] then return '-1' end
local checked, reduction = false, nil
