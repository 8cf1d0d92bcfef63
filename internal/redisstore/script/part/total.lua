-- Sets total, which returns the sum of numbers between commas.

local function total(text)
  local sum = 0
  for number in string.gmatch(text or '0', '[^,]+') do sum = sum + number end
  return sum
end
