-- Writes a new job as "queued" and publishes its message, unless the limit of open jobs or stored bytes is reached or
-- the idempotency key is in use. May be sent twice: the second time the record exists, or its tombstone, and nothing
-- changes.
-- `idempotency_key`, `picture` and `webhook` are "" for none, `deadline_ms` is 0 for none. `message` contains JOB_ID in
-- place of the id. `fields` is a JSON list of alternating names and values; `known` is "1" if they contain a cached
-- result. A job with a webhook is not admitted while `max_deliveries` deliveries are open.
-- Returns {result, open jobs, running jobs, id}. The result is "admitted", "full", "undelivered" (too many open
-- deliveries), "joined" (the key belongs to an earlier job) or "conflict" (as "joined", but that job's request was
-- different). The id is that of the new job, or of the job that has the idempotency key; "" if there is neither.
local job_key, open_key, leases_key, bytes_key, deadlines_key, reached_key, gone_key, queue_key, picture_key,
  idempotency_key, delivery_key, deliveries_key, due_key,
  deliveries_clock_key = unpack(KEYS)
local id, picture_bytes, max_open_jobs, max_stored_bytes, deadline_ms, fingerprint, idempotency_ttl_seconds,
  result_ttl_seconds, gone_ttl_seconds, known, message, picture, picture_ttl_seconds, webhook, max_deliveries,
  history_prefix, history_ttl_seconds, fields = unpack(ARGV)
-- include: due
-- include: deliver
-- include: new_job

local open, running = redis.call('ZCARD', open_key), redis.call('ZCARD', leases_key)
if redis.call('EXISTS', job_key, gone_key) > 0 then return {'admitted', open, running, id} end
if idempotency_key ~= '' then
  local first = redis.call('HMGET', idempotency_key, 'fingerprint', 'id')
  if first[2] then return {first[1] == fingerprint and 'joined' or 'conflict', open, running, first[2]} end
end
local now = now_ms()
if webhook ~= '' and redis.call('ZCARD', deliveries_key) >= tonumber(max_deliveries) then
  return {'undelivered', open, running, ''}
end

local function keep_idempotency_key()
  if idempotency_key == '' then return end
  redis.call('HSET', idempotency_key, 'fingerprint', fingerprint, 'id', id)
  redis.call('EXPIRE', idempotency_key, idempotency_ttl_seconds)
end

-- With a cached result the job is written as succeeded and is never in the queue.
if known == '1' then
  write_known(job_key, gone_key, now, cjson.decode(fields))
  keep_idempotency_key()
  if webhook ~= '' then deliver(job_key, delivery_key, id, now) end
  return {'admitted', open, running, id}
end

local bytes = tonumber(redis.call('GET', bytes_key) or 0)
if open >= tonumber(max_open_jobs) or bytes + picture_bytes > tonumber(max_stored_bytes) then
  return {'full', open, running, ''}
end

local order = next_order(now)
-- The picture first: at `maxmemory` Redis refuses this write, and nothing has been written yet.
if picture ~= '' then redis.call('SET', picture_key, picture, 'EX', picture_ttl_seconds) end
enqueue(id, job_key, order, now, picture_bytes, cjson.decode(fields))
if deadline_ms ~= '0' then
  redis.call('HSET', job_key, 'deadline_ms', now + deadline_ms)
  redis.call('ZADD', deadlines_key, now + deadline_ms, id)
end
keep_idempotency_key()
return {'admitted', open + 1, running, id}
