-- Moves a job to a terminal state; the first terminal state wins.
-- May be sent twice: `by` identifies the call, and the second time the answer is the same. `execution` is that of a
-- worker's attempt, "" for other callers; an attempt cannot end a job that another execution is running. `allowed`
-- lists the states the job may be in, joined by ",". `cache_key` is "" for no cache entry. `fields` is a JSON list of
-- alternating names and values. If the job has a webhook, the script also writes its delivery. The script counts
-- the end in its minute, and in the job's batch, if it has one.
-- `kept_ttl_seconds` says how long to keep the picture for a retry; 0: delete it. The picture is also deleted if
-- `max_kept` pictures are already kept, or if the total size of kept pictures would exceed `max_kept_bytes`.
-- Returns 1 if the job has ended by this call, 2 if its picture is also kept, and 0 if nothing changed: the job had
-- already ended or is in no allowed state, another execution is running it, or it does not exist.
local job_key, open_key, leases_key, bytes_key, deadlines_key, drain_key, failed_key, gone_key, picture_key,
  cache_key, kept_key, kept_bytes_key, delivery_key, deliveries_key, due_key,
  deliveries_clock_key, batches_key = unpack(KEYS)
local id, state, allowed, by, execution, result_ttl_seconds, gone_ttl_seconds, channel, cached, cache_ttl_seconds,
  max_interval_ms, fields, kept_ttl_seconds, max_kept, max_kept_bytes, batch_prefix,
  delivery_prefix, batch_ttl_seconds, history_prefix, history_ttl_seconds = unpack(ARGV)
-- include: due
-- include: deliver
-- include: end_batch
-- include: count_ended

local record = redis.call('HMGET', job_key, 'state', 'bytes', 'begun_ms', 'deadline_ms', 'owner', 'execution', 'ended_by',
                          'webhook', 'batch', 'place')
if record[7] == by then return redis.call('HEXISTS', job_key, 'kept_until_ms') == 1 and 2 or 1 end
if not record[1] or not string.find(',' .. allowed .. ',', ',' .. record[1] .. ',', 1, true) then return 0 end
if record[1] == 'running' and execution ~= '' and record[6] ~= execution then return 0 end
local now = now_ms()

-- Keeps the picture, and the record for as long; returns false if there is no room. Pictures that are already kept
-- stay: an operator may have listed them and be about to retry their jobs.
local function keep_picture()
  if kept_ttl_seconds == '0' or redis.call('ZCARD', kept_key) >= tonumber(max_kept) then return false end
  local bytes, total = tonumber(record[2]), tonumber(redis.call('HGET', kept_bytes_key, 'total') or 0)
  if total + bytes > tonumber(max_kept_bytes) then return false end
  local until_ms = now + kept_ttl_seconds * 1000
  local longer_seconds = math.max(kept_ttl_seconds - result_ttl_seconds, 0)
  redis.call('ZADD', kept_key, until_ms, id)
  redis.call('HSET', kept_bytes_key, id, bytes, 'total', total + bytes)
  redis.call('EXPIRE', picture_key, kept_ttl_seconds)
  redis.call('HSET', job_key, 'kept_until_ms', until_ms)
  redis.call('EXPIRE', job_key, result_ttl_seconds + longer_seconds)
  redis.call('EXPIRE', gone_key, gone_ttl_seconds + longer_seconds)
  return true
end

-- At `maxmemory` Redis refuses a script whose first write may need memory. ZREM needs none, and once it has run, Redis
-- allows all further writes.
-- Jobs must be able to end then, because that frees memory.
redis.call('ZREM', open_key, id)
redis.call('HSET', job_key, 'state', state, 'finished_ms', now, 'ended_by', by, unpack(cjson.decode(fields)))
redis.call('EXPIRE', job_key, result_ttl_seconds)
-- The tombstone outlives the record. It holds the owner: for other API keys the job is unknown.
redis.call('SET', gone_key, record[5] or 1, 'EX', gone_ttl_seconds)
local kept = keep_picture()
if not kept then redis.call('DEL', picture_key) end
redis.call('ZREM', leases_key, id)
if record[4] then redis.call('ZREM', deadlines_key, id) end
local open = redis.call('ZCARD', open_key)
if open > 0 then redis.call('DECRBY', bytes_key, record[2]) else redis.call('DEL', bytes_key) end
if state == 'failed' then
  redis.call('ZADD', failed_key, now, id)
  redis.call('ZREMRANGEBYSCORE', failed_key, '-inf', now - result_ttl_seconds * 1000)
end

-- The drain rate: a moving average of the time between the ends of two jobs while others are open. Idle time is not
-- counted, and `max_interval_ms` limits the effect of a clock change.
local drain = {'finished_ms', now}
if record[3] and open > 0 then
  local before = redis.call('HMGET', drain_key, 'finished_ms', 'interval_ms')
  local interval_ms = now - math.max(tonumber(before[1] or 0), tonumber(record[3]))
  interval_ms = math.min(math.max(interval_ms, 0), tonumber(max_interval_ms))
  drain[3], drain[4] = 'interval_ms', 0.95 * (before[2] or interval_ms) + 0.05 * interval_ms
end
redis.call('HSET', drain_key, unpack(drain))
count_ended(state, now)
if cache_key ~= '' then redis.call('SET', cache_key, cached, 'EX', cache_ttl_seconds) end
if record[8] then deliver(job_key, delivery_key, id, now) end
if record[9] then end_in_batch(record[9], record[10], now) end
-- The notice contains the whole record, so that waiters need not read it.
redis.call('PUBLISH', channel, cjson.encode({id, redis.call('HGETALL', job_key)}))
return kept and 2 or 1
