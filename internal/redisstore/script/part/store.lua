-- Stores what decide.lua or decide_choices.lua decided. Needs window, in milliseconds, 0 if
-- members stay, and now.

local DEEPEST = 6 -- digits of a path

-- Write the buckets that changed; divide those that are too large into their children.
local fields, removed, divide = {}, {}, nil
for path in pairs(dirty) do
  local bucket = buckets[path]
  if #bucket > MOST and #path < DEEPEST then
    divide = divide or function(path, bucket)
      local place, parts = math.floor(#path / 2), {}
      for digit = 0, 15 do parts[digit] = {} end
      for at = 1, #bucket, RECORD do
        local digit = byte(bucket, at + place)
        if #path % 2 == 0 then digit = math.floor(digit / 16) else digit = digit % 16 end
        local part = parts[digit]
        part[#part + 1] = sub(bucket, at, at + RECORD - 1)
      end
      removed[#removed + 1] = path
      depth = math.max(depth, #path + 1)
      for digit = 0, 15 do
        local child, members = path .. string.format('%x', digit), table.concat(parts[digit])
        if #members > MOST and #child < DEEPEST then
          divide(child, members)
        else
          fields[#fields + 1] = child
          fields[#fields + 1] = members
        end
      end
    end
    divide(path, bucket)
  elseif bucket == '' and path == '' then
    removed[1] = path -- the last member: Redis removes the key too
  else
    fields[#fields + 1] = path
    fields[#fields + 1] = bucket
  end
end
if removed[1] then
-- include check_rights
end
local ends -- of the window, if it begins
if wasEmpty and window > 0 then
  -- A key is removed when the clock is past its time, hence the last millisecond.
  local clock = math.floor(now / 1000)
  ends = string.format('%.0f', clock - clock % window + window - 1)
  redis.call('PEXPIREAT', KEYS[2], ends) -- checks the right: there is no key yet
end
for from = 1, #fields, CHUNK do
  redis.call('HSET', KEYS[2], unpack(fields, from, math.min(from + CHUNK - 1, #fields)))
end
for i = 1, #removed do redis.call('HDEL', KEYS[2], removed[i]) end
if ends then redis.call('PEXPIREAT', KEYS[2], ends) end
