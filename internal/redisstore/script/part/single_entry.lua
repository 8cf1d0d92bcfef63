-- Reverts a single entry if it is the newest of its member, the topic's members fit into one
-- bucket, and no record is stored or lowered. Most entries of a spike on many topics are such. It
-- does what the parts after it do, without their tables and with fewer commands, and ends the
-- script. If Redis refuses a command, it undoes those before, and the parts after it report why.
-- Needs window and what journals.lua sets.

if #packed == 25 and expected and stored == 0 and window == 0 then
  local k, place, start, entry = struct.unpack('>BI4I4c16', packed)
  local member, hour, currentHour = string.sub(entry, 1, 8), math.floor(version / HOUR), math.floor(after / HOUR)
  local isShort = k == 5 and start == 1 and string.sub(tails[5], 1, 16) == entry and (ARGV[8] == '0'
    or hour == currentHour and (ARGV[9] == '0' or math.floor(struct.unpack('>I4', entry, 13) / 60) >= hour))
  for i = 5, #KEYS do
    isShort = isShort and not (tails[i] and string.find(tails[i], member, i == 5 and 17 or 1, true))
  end
  local bucket, count = isShort and redis.call('HGET', KEYS[2], '') or '', tonumber(state[1] or 0)
  local at = string.find(bucket, member, 1, true)
  if at and at % 8 == 1 and count and count > 0 then
    local n = string.format('%.0f', count - 1)
    local v = after == now and nowText or string.format('%.0f', after)
    if type(redis.pcall('SETRANGE', KEYS[5], place, string.rep('\0', 16))) == 'number' then
      if type(redis.pcall('HSET', KEYS[1], 'n', n, 'v', v)) == 'number' then
        local rest = string.sub(bucket, 1, at - 1) .. string.sub(bucket, at + 8)
        local written = rest ~= '' and redis.pcall('HSET', KEYS[2], '', rest) or rest == '' and redis.pcall('HDEL', KEYS[2], '')
        if type(written) == 'number' then
          local channel, head, shown, reply = ARGV[3], ARGV[4], n, n .. ' ' .. v .. ' 1;1'
-- include send
        end
        redis.call('HSET', KEYS[1], 'n', state[1], 'v', state[2])
      end
      redis.call('SETRANGE', KEYS[5], place, entry)
    end
  end
end
