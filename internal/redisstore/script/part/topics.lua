-- Calls withdraw for each topic, and returns its reply. With several topics it returns a list of the
-- replies to those before the first that fails; it does not withdraw from that one and those after
-- it. Needs keys, how many a topic has.

keys = tonumber(keys)
local function reply(at) -- index of the first key of a topic
  return withdraw({ unpack(KEYS, at, at + keys - 1) }, { unpack(ARGV, at + 7, at + keys + 6) })
end
if #KEYS == keys then return reply(1) end
local replies = {}
for at = 1, #KEYS, keys do
  local isDone, text = pcall(reply, at)
  if not isDone or type(text) ~= 'string' then break end
  replies[#replies + 1] = text
end
return replies
