-- store.lua for what decide_amounts.lua decided.

local fields, removed = {}, {}
for member in pairs(dirty) do
  if amounts[member] == 0 then
    removed[#removed + 1] = member
  else
    fields[#fields + 1] = member
    fields[#fields + 1] = string.format('%.0f', amounts[member])
  end
end
if removed[1] then
-- include check_rights
end
for from = 1, #fields, CHUNK do
  redis.call('HSET', KEYS[2], unpack(fields, from, math.min(from + CHUNK - 1, #fields)))
end
for from = 1, #removed, CHUNK do
  redis.call('HDEL', KEYS[2], unpack(removed, from, math.min(from + CHUNK - 1, #removed)))
end
