-- Publishes shown, the count in the topic's frame, and v. Returns reply; if the publication fails,
-- with the reason. Needs channel and head, the head of the topic's frames.

local sent = redis.pcall('PUBLISH', channel, head .. shown .. ',"version":' .. v .. '}')
if type(sent) == 'table' and sent.err then return reply .. ' ' .. sent.err end
return reply
