-- Applies a single new contribution to a topic whose members fit into one bucket, and that
-- changed in this hour. Most likes on many topics are such a write. It does what the parts after
-- it do, without their tables, and ends the script.

if #writes == size and not state[3] and string.byte(ARGV[2]) == 48 then -- the window is 0
  local count, version = tonumber(state[1]), tonumber(state[2])
  local op, member = string.byte(writes), string.sub(writes, 2, 9)
  if count and version and version < now and now - version <= now % 3600000000 and (op == 49 or op == 51) then -- the digits 1 and 3
    local bucket = redis.call('HGET', KEYS[2], '') or ''
    if #bucket < 1024 and not string.find(bucket, member, 1, true) then
      redis.call('HSET', KEYS[2], '', bucket .. member)
      local results = '1'
      if journal then
        local packed = string.sub(writes, 2, 13) .. struct.pack('>I4', (now - now % 60000000) / 60000000)
-- include append
      end
      -- Numbers of Lua are floating-point numbers, which take long to format.
      local n = string.format(count < 1e9 and '%d' or '%.0f', count + 1)
      local v, channel, head, shown = nowText, ARGV[3], ARGV[4], n
      redis.call('HSET', KEYS[1], 'n', n, 'v', v)
      local reply = n .. ' ' .. v .. ' ' .. results
-- include send
    end
  end
end
