-- Applies a single new contribution to a topic whose members fit into one bucket, and that
-- changed in this hour. Most likes on many topics are such a write. It does what the parts after
-- it do, without their tables, and ends the script. Needs what decide.lua and record.lua need.

if #writes == size and stored == 0 and window == 0 and version > 0
  and (retention == '0' or math.floor(version / 3600000000) == math.floor(after / 3600000000)) then
  local op, member, bucket = string.byte(writes), string.sub(writes, 2, 9), redis.call('HGET', KEYS[2], '') or ''
  local place = string.find(bucket, member, 1, true)
  if not place and (op == 49 or op == 51) and #bucket < 1024 then -- the digits 1 and 3
    redis.call('HSET', KEYS[2], '', bucket .. member)
    local results, entries = '1', { journal and string.sub(writes, 2, 13) or nil }
-- include journal
    local n, v = string.format('%.0f', count + 1), string.format('%.0f', after)
    redis.call('HSET', KEYS[1], 'n', n, 'v', v)
    local channel, head, reply = ARGV[3], ARGV[4], n .. ' ' .. v .. ' ' .. results
-- include reply
  end
end
