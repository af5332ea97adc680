-- Deliveries that wait for their due time are in one sorted set per receiver, `due_key`:<receiver>. `due_key` itself
-- sorts the receivers by their earliest due time. Included in scripts that name these keys.

local function due_of(receiver) return due_key .. ':' .. receiver end

local function set_earliest(receiver)
  local first = redis.call('ZRANGE', due_of(receiver), 0, 0, 'WITHSCORES')
  if first[2] then redis.call('ZADD', due_key, first[2], receiver) else redis.call('ZREM', due_key, receiver) end
end

-- Stores the time at which due times were written. If `claim_deliveries` then sees an earlier time, the clock was set
-- back.
local function note_clock(now)
  if now > tonumber(redis.call('GET', deliveries_clock_key) or 0) then
    redis.call('SET', deliveries_clock_key, string.format('%d', now))
  end
end
