-- Publishes n and v, and returns reply; if the publication fails, with the reason. Needs
-- n, v, reply, channel and head, the head of the topic's frames.

local sent = redis.pcall('PUBLISH', channel, head .. n .. ',"version":' .. v .. '}')
if type(sent) == 'table' and sent.err then return reply .. ' ' .. sent.err end
return reply
