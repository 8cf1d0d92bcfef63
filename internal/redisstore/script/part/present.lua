-- Keeps of writes, of size bytes each, those that the journals confirm. A write whose entry is
-- gone from the journals is removed. If the member has a newer entry, the write is removed and
-- its entry is erased. If the topic does not have the expected version, all are removed.
--
-- Needs window, now, and what journals.lua sets. Sets
--   places   of the entries: index of the journal in KEYS * 4294967296 + place in it
--   digits   one for each entry, see withdraw.lua
--   past     index of a write that remains to the hour of its entry, if that is before the
--            hour of the change; in a window, index in places to that hour; nil if there is none
-- They are nil without entries.

local places, digits, past = nil, nil, nil
if packed ~= '' then
  local find, unpacked = string.find, struct.unpack
  local kept, number = nil, 0 -- writes, once one was removed; and how many remain
  places, digits = {}, ''
  for at = 1, #packed, 25 do
    local k, place, start, entry = unpacked('>BI4I4c16', packed, at)
    local digit, remains, isThere = '0', false, expected
    if expected and start > 0 then
      isThere = find(tails[k], entry, start, true) == start
    elseif expected then
      isThere, start = redis.call('GETRANGE', KEYS[k], place, place + 15) == entry, -15
    end
    if isThere then
      places[#places + 1] = k * 4294967296 + place
      local minute = unpacked('>I4', entry, 13)
      if window > 0 then
        digit = '1'
        -- The members of a window that ended are gone.
        remains = math.floor(((minute + 1) * 60000 - 1) / window) >= math.floor(now / 1000 / window)
      else
        local newer, member = nil, string.sub(entry, 1, 8)
        start = start + 16
        for j = k, #KEYS do
          newer = newer or tails[j] and find(tails[j], member, start, true)
          while newer and newer % 16 ~= 1 do newer = find(tails[j], member, newer + 1, true) end
          start = 1
        end
        if not newer then digit, remains = '1', true end
      end
      local hour = math.floor(minute / 60)
      if remains then number = number + 1 end
      if digit == '1' and hour < math.floor(after / HOUR) then
        past = past or {}
        past[window > 0 and #places or number] = hour
      end
    end
    digits = digits .. digit
    local write = (at - 1) / 25 * size
    if kept and remains then
      kept[#kept + 1] = string.sub(writes, write + 1, write + size)
    elseif not kept and not remains then
      kept = { string.sub(writes, 1, write) }
    end
  end
  if kept then writes = table.concat(kept) end
elseif not expected then
  writes = ''
end
