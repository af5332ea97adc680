-- Ends of batches and of the jobs in them. A batch has the hash `batch_prefix`<id>, and beside it `:pictures`, `:outcomes`
-- and `:requests`.

local function keep_batch(key, seconds)
  for _, part in ipairs({'', ':pictures', ':outcomes', ':requests'}) do redis.call('EXPIRE', key .. part, seconds) end
end

-- Ends a batch in `state`, tells waiting requests and writes its delivery, if it has a webhook.
local function end_batch(id, state, now)
  local key = batch_prefix .. id
  redis.call('ZREM', batches_key, id)
  redis.call('HSET', key, 'state', state, 'finished_ms', now)
  keep_batch(key, batch_ttl_seconds)
  if redis.call('HEXISTS', key, 'webhook') == 1 then deliver(key, delivery_prefix .. id, id, now) end
  redis.call('PUBLISH', channel, cjson.encode({id, redis.call('HGETALL', key)}))
end

-- Counts the end of the job `job_key` in its batch and copies its outcome there; the last one ends a batch that is closed
-- or canceled.
local function end_in_batch(id, place, now)
  local key = batch_prefix .. id
  local batch = redis.call('HMGET', key, 'state', 'added')
  if not batch[1] then return end
  local job = redis.call('HMGET', job_key, 'state', 'result', 'problem', 'model')
  redis.call('HINCRBY', key, job[1], 1)
  local ended = redis.call('HINCRBY', key, 'ended', 1)
  local is_last = ended == tonumber(batch[2])
  if batch[1] == 'canceled' and is_last then end_batch(id, 'canceled', now) end
  if batch[1] ~= 'open' and batch[1] ~= 'closed' then return end
  local result, problem = job[2] and ',"result":' .. job[2] or '', job[3] and ',"problem":' .. job[3] or ''
  local model = job[4] and ',"model":' .. job[4] or ''
  redis.call('HSET', key .. ':outcomes', place, '{"status":"' .. job[1] .. '"' .. result .. problem .. model .. '}')
  if ended == 1 then redis.call('EXPIRE', key .. ':outcomes', redis.call('TTL', key)) end
  if batch[1] == 'closed' and is_last then end_batch(id, 'completed', now) end
end
