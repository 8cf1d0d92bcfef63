-- Sets parse and format for the numbers of a topic: its count, seed or adjustment. They are
-- one number, or in a choice metric one for each option between commas.

local function parse(text, options) -- returns nil if text is not made of numbers
  local numbers = { tonumber(text or '0') }
  if not numbers[1] then
    for part in string.gmatch(text, '[^,]+') do
      local number = tonumber(part)
      if not number then return nil end
      numbers[#numbers + 1] = number
    end
  end
  for i = #numbers + 1, options do numbers[i] = 0 end -- options were added
  return numbers
end
local function format(numbers)
  if not numbers[2] then return string.format('%.0f', numbers[1]) end
  local texts = {}
  for i = 1, #numbers do texts[i] = string.format('%.0f', numbers[i]) end
  return table.concat(texts, ',')
end
