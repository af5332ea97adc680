-- Ends one attempt to deliver. With the `outcome` "failed", the delivery is due again after `pause_ms`. The outcomes
-- "delivered", "gone" and "given_up" end the delivery; "given_up" also adds `entry` to the list of given-up deliveries.
-- `answered` is "1" if the receiver answered in time. May be sent twice: the second time the answer is the same.
-- Returns 1, or 0 if another execution holds the delivery or has ended it.
local delivery_key, deliveries_key, due_key, leases_key, sending_key, silent_key, given_up_key,
  outcomes_key, deliveries_clock_key = unpack(KEYS)
local id, execution, outcome, answered, pause_ms, entry, max_given_up = unpack(ARGV)
-- include: due

local delivery = redis.call('HMGET', delivery_key, 'execution', 'receiver', 'settled_by')
if delivery[3] == execution then return 1 end
if delivery[1] ~= execution then return 0 end
local receiver = delivery[2]
local now = now_ms()

-- At `maxmemory` Redis refuses a script whose first write may need memory. ZREM needs none, and once it has run, Redis
-- allows all further writes.
-- If the lease has ended in the meantime, the delivery is due again: remove it from there.
redis.call('ZREM', due_of(receiver), id)
if redis.call('ZREM', leases_key, id) == 1 then
  if redis.call('HINCRBY', sending_key, receiver, -1) <= 0 then redis.call('HDEL', sending_key, receiver) end
end
if answered == '1' then redis.call('SREM', silent_key, receiver) else redis.call('SADD', silent_key, receiver) end
redis.call('HINCRBY', outcomes_key, outcome, 1)
if outcome == 'failed' then
  redis.call('HINCRBY', delivery_key, 'waited_ms', pause_ms)
  redis.call('HSET', delivery_key, 'execution', '', 'settled_by', execution)
  redis.call('ZADD', due_of(receiver), now + pause_ms, id)
  note_clock(now)
else
  redis.call('ZREM', deliveries_key, id)
  if outcome == 'given_up' then
    redis.call('LPUSH', given_up_key, entry)
    redis.call('LTRIM', given_up_key, 0, max_given_up - 1)
  end
  -- So that the same call, sent again, gets the same answer.
  redis.call('DEL', delivery_key)
  redis.call('HSET', delivery_key, 'settled_by', execution)
  redis.call('EXPIRE', delivery_key, 60)
end
set_earliest(receiver)
if redis.call('EXISTS', due_of(receiver)) == 0 and not redis.call('HGET', sending_key, receiver) then
  redis.call('SREM', silent_key, receiver)
end
return 1
