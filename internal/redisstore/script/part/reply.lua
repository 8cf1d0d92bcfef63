-- Publishes n and v, and returns reply; if the publication fails, with the reason. Needs
-- n, v, reply, channel and head, the head of the topic's frames. If n has the numbers of
-- options, the count is their sum.

local shown = n
if string.find(n, ',', 1, true) then
  local sum = 0
  for number in string.gmatch(n, '[^,]+') do sum = sum + number end
  shown = string.format('%.0f,"options":[', sum) .. n .. ']'
end
local sent = redis.pcall('PUBLISH', channel, head .. shown .. ',"version":' .. v .. '}')
if type(sent) == 'table' and sent.err then return reply .. ' ' .. sent.err end
return reply
