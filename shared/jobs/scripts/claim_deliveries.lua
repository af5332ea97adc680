-- Claims up to `most` due deliveries for one sender: counts the attempts and sets leases. At most `most_per_receiver`
-- are sent to one receiver (`receiver_of` in Python) at a time, or `most_per_silent_receiver` if the receiver did not
-- answer the last attempt. Deliveries whose lease has ended become due again.
-- May be sent twice by one execution: the ids are kept under `claimed_key` and returned again.
-- If Redis' clock was set back since due times were last written, all due times and leases move back with it.
-- Returns {now, then for each delivery {id, its fields as field, value, …}}.
local deliveries_key, leases_key, due_key, sending_key, silent_key, deliveries_clock_key, claimed_key = unpack(KEYS)
local execution, lease_ms, most, most_per_receiver, most_per_silent_receiver, delivery_prefix = unpack(ARGV)
-- include: due
local now = now_ms()
local answer, ids = {now}, {}

local function add(id) answer[#answer + 1] = {id, redis.call('HGETALL', delivery_prefix .. id)} end

local before = redis.call('GET', claimed_key)
if before then
  for _, id in ipairs(cjson.decode(before)) do
    if redis.call('HGET', delivery_prefix .. id, 'execution') == execution then add(id) end
  end
  return answer
end

local gap = now - (redis.call('GET', deliveries_clock_key) or now)

local function move_back(key)
  local members = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  for i = 1, #members, 2 do
    redis.call('ZADD', key, members[i + 1] + gap, members[i])
  end
end

-- At `maxmemory` Redis refuses a script whose first write may need memory. ZREM needs none, and once it has run, Redis
-- allows all further writes.
redis.call('ZREM', leases_key, '')
if gap < 0 then
  move_back(leases_key)
  for _, receiver in ipairs(redis.call('ZRANGE', due_key, 0, -1)) do move_back(due_of(receiver)) end
  move_back(due_key)
end
redis.call('SET', deliveries_clock_key, string.format('%d', now))

for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases_key, '-inf', now, 'LIMIT', 0, 100)) do
  local receiver = redis.call('HGET', delivery_prefix .. id, 'receiver')
  redis.call('ZREM', leases_key, id)
  if receiver then
    if redis.call('HINCRBY', sending_key, receiver, -1) <= 0 then redis.call('HDEL', sending_key, receiver) end
    redis.call('ZADD', due_of(receiver), now, id)
    set_earliest(receiver)
  end
end

local function claim(id, receiver)
  redis.call('ZREM', due_of(receiver), id)
  if redis.call('EXISTS', delivery_prefix .. id) == 0 then
    -- Redis has evicted the delivery.
    redis.call('ZREM', deliveries_key, id)
    return
  end
  redis.call('HINCRBY', delivery_prefix .. id, 'attempts', 1)
  redis.call('HSET', delivery_prefix .. id, 'execution', execution)
  redis.call('ZADD', leases_key, now + lease_ms, id)
  redis.call('HINCRBY', sending_key, receiver, 1)
  ids[#ids + 1] = id
  add(id)
end

-- Receivers without room are skipped. 1000 receivers are enough: a sender has far fewer slots.
for _, receiver in ipairs(redis.call('ZRANGEBYSCORE', due_key, '-inf', now, 'LIMIT', 0, 1000)) do
  local at_once = redis.call('SISMEMBER', silent_key, receiver) == 1 and most_per_silent_receiver or most_per_receiver
  local room = math.min(most - #ids, at_once - (redis.call('HGET', sending_key, receiver) or 0))
  if room > 0 then
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', due_of(receiver), '-inf', now, 'LIMIT', 0, room)) do
      claim(id, receiver)
    end
    set_earliest(receiver)
  end
  if #ids >= tonumber(most) then break end
end
if #ids > 0 then redis.call('SET', claimed_key, cjson.encode(ids), 'PX', lease_ms + 10000) end
return answer
