-- decide.lua for members that contribute amounts. A write has 16 bytes: a digit as in
-- decide.lua, without 1, the member's 8 bytes, its source in 4, its amount in 3, big-endian.
-- If raisesOnly is set, no amount becomes smaller.

local CHUNK = 500 -- fields a call
local amounts, members = {}, {}
for at = 1, #writes, 16 do
  local member = string.sub(writes, at + 1, at + 8)
  if not amounts[member] then
    amounts[member] = 0
    members[#members + 1] = member
  end
end
for from = 1, #members, CHUNK do
  local found = redis.call('HMGET', KEYS[2], unpack(members, from, math.min(from + CHUNK - 1, #members)))
  for i = 1, #found do
    local amount = tonumber(found[i] or 0)
    if not amount then return redis.error_reply('BADDATA an amount of this topic is not a number') end
    amounts[members[from + i - 1]] = amount
  end
end

local results, dirty, changed, entries, lowered = {}, {}, false, {}, {}
local exists, raised = version > 0, 0
for at = 1, #writes, 16 do
  local member = string.sub(writes, at + 1, at + 8)
  local high, middle, low = string.byte(writes, at + 13, at + 15)
  local op, amount, before = string.byte(writes, at) - 48, high * 65536 + middle * 256 + low, amounts[member]
  local result = '0'
  if raisesOnly then amount = math.max(amount, before) end
  lowered[#results + 1] = before - amount
  if amount ~= before then
    if not exists and op % 4 < 2 then
      result = '3'
    elseif op >= 4 and before == 0 then
      result = '4'
    else
      result = before > 0 and '5' or exists and '1' or '2'
      exists, changed, count = true, true, count + amount - before
      if count < 0 then count, raised = 0, raised - count end
      amounts[member], dirty[member] = amount, true
      if journal and amount > before then entries[#entries + 1] = string.sub(writes, at + 1, at + 12) end
    end
  end
  results[#results + 1] = result
end
