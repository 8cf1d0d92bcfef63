-- Reverts a single entry if it is the newest of its member, the topic's members fit into one
-- bucket, and no record is stored or lowered. Most entries of a spike on many topics are such. It
-- does what the parts after it do, without their tables and with fewer commands, and ends the
-- script. If Redis refuses a command, it undoes those before, and the parts after it report why.
-- Needs window, retention, lowers and what journals.lua sets.

if #packed == 25 and expected and stored == 0 and window == 0 then
  local k, _, start, member, _, minute = struct.unpack('>BI4I4c8I4I4', packed)
  local entry, place, hour = string.sub(packed, 10), ARGV[5], after - after % HOUR -- the range begins at the entry
  local isShort = k == 5 and start == 1 and string.find(tails[5], entry, 1, true) == 1 and (retention == '0'
    or version >= hour and (lowers == '0' or minute * 60000000 >= hour))
  for i = 5, #KEYS do
    isShort = isShort and not (tails[i] and string.find(tails[i], member, i == 5 and 17 or 1, true))
  end
  local bucket, count = isShort and redis.call('HGET', KEYS[2], '') or '', tonumber(state[1] or 0)
  local at = string.find(bucket, member, 1, true)
  if at and at % 8 == 1 and count and count > 0 then
    local n = string.format(count < 1e9 and '%d' or '%.0f', count - 1)
    local v = after == now and nowText or string.format('%.0f', after)
    if type(redis.pcall('SETRANGE', KEYS[5], place, '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0')) == 'number' then
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
