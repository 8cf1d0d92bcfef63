-- Sets replyEnd, the end of the reply: digits, or without entries what edit.lua returns. Needs
-- raises, by how much the adjustment of each option rises, or false; options, how many the
-- metric has; and what journals.lua and present.lua set. Sets adjustment, the new one. Ends the
-- script if a stored number is none.

local replyEnd, adjustment = digits, nil
if raises or not digits then
-- include numbers
  local base, before = redis.call('HMGET', KEYS[1], 's', 'a'), parse(state[1], options)
  local seeds, adjustments = parse(base[1], #before), parse(base[2], #before)
  if not (seeds and adjustments) then
    return redis.error_reply('BADDATA the count of this topic is not made of numbers')
  end
  replyEnd = table.concat({ format(before), state[2] or '0', format(seeds), format(adjustments), format(seeds) }, ';')
  for option, by in pairs(raises or {}) do adjustments[option] = adjustments[option] + by end
  adjustment = format(adjustments)
  replyEnd = digits or replyEnd .. ';' .. adjustment
end
