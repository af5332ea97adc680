-- The due deliveries of a receiver are in the sorted set `due_key`:<receiver>; `due_key` itself has the receivers, each
-- with its earliest time.

local function due_of(receiver) return due_key .. ':' .. receiver end

local function set_earliest(receiver)
  local first = redis.call('ZRANGE', due_of(receiver), 0, 0, 'WITHSCORES')
  if first[2] then redis.call('ZADD', due_key, first[2], receiver) else redis.call('ZREM', due_key, receiver) end
end

-- Notes that times were written which Redis' clock had not reached before; `claim_deliveries` compares its own time.
local function note_clock(now)
  if now > tonumber(redis.call('GET', deliveries_clock_key) or 0) then
    redis.call('SET', deliveries_clock_key, string.format('%d', now))
  end
end
