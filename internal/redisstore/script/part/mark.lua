-- Ends the script if the topic has another mark than the call, see apply.lua. Needs state, of
-- which the fifth is the mark.

if (state[5] or '') ~= (ARGV[7] and ARGV[6] or '') then return '-2' .. (state[5] or '') end
