-- keep.lua for what amounts_find.lua decided on.

local fields, gone = {}, {}
for member in pairs(dirty) do
  if amounts[member] == 0 then
    gone[#gone + 1] = member
  else
    fields[#fields + 1] = member
    fields[#fields + 1] = string.format('%.0f', amounts[member])
  end
end
if gone[1] then
-- include rights
end
for from = 1, #fields, CHUNK do
  redis.call('HSET', KEYS[2], unpack(fields, from, math.min(from + CHUNK - 1, #fields)))
end
for from = 1, #gone, CHUNK do
  redis.call('HDEL', KEYS[2], unpack(gone, from, math.min(from + CHUNK - 1, #gone)))
end
