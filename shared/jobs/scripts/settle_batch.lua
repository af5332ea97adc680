-- Closes a batch to further pictures (`wanted` is "closed"), cancels it if it is not completed, or deletes it ("canceled").
-- A closed batch whose jobs have all ended is completed; a canceled one ends with the last of its jobs. May be sent twice:
-- the second time nothing changes.
-- Returns the state of the batch, "" if there is none. The caller cancels the jobs and removes the pictures of a batch that
-- is canceled or deleted.
local batches_key, deliveries_key, due_key, deliveries_clock_key = unpack(KEYS)
local id, wanted, batch_prefix, delivery_prefix, batch_ttl_seconds, channel = unpack(ARGV)
-- include: due
-- include: deliver
-- include: end_batch

local key = batch_prefix .. id
local batch = redis.call('HMGET', key, 'state', 'added', 'ended')
local state, is_open = batch[1], batch[1] == 'open' or batch[1] == 'closed'
if not state then return '' end
local now = now_ms()
-- At `maxmemory` Redis refuses a script's first write if it takes memory, but no write after one that takes none.
redis.call('ZREM', batches_key, '')
if wanted == 'closed' and state == 'open' then
  state = 'closed'
  redis.call('HSET', key, 'state', state, 'closed_ms', now)
  if batch[2] == batch[3] then
    state = 'completed'
    end_batch(id, state, now)
  end
elseif wanted == 'canceled' and is_open then
  state = 'canceled'
  redis.call('HSET', key, 'state', state)
  if batch[2] == batch[3] then end_batch(id, state, now) end
elseif wanted == 'canceled' and state == 'completed' then
  state = 'deleted'
  redis.call('HSET', key, 'state', state)
end
return state
