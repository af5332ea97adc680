-- Adds pictures to an open batch, each as a job of its own: all of them, or for want of room none.
-- May be sent twice: the second time the first job exists, or its tombstone, and nothing changes. `pictures` is a JSON
-- list of {id, entry for the batch, bytes, fields of the record as a list of names and values, outcome if the result is
-- cached or ""}.
-- `request` names a request that may be repeated, "" for none: its `answer` and `fingerprint` are kept with the batch.
-- `in_redis` is "1" if pictures are stored in Redis: the caller has stored them under their keys.
-- Returns {"admitted" | "full" | "joined" | "conflict" | "not open" | "unknown" | "too many" | "unstored", answer of an
-- earlier request with the same name or ""}.
local batch_key, batches_key, open_key, bytes_key, reached_key, queue_key = unpack(KEYS)
local id, request, fingerprint, answer, max_open_jobs, max_stored_bytes, max_pictures, result_ttl_seconds,
  gone_ttl_seconds, open_ttl_seconds, picture_ttl_seconds, in_redis, message, job_prefix, gone_prefix, picture_prefix,
  history_prefix, history_ttl_seconds, pictures = unpack(ARGV)
-- include: new_job

pictures = cjson.decode(pictures)
-- Sent twice. Before `request` is looked up: otherwise this call would join itself, and its caller would delete the pictures.
local first = pictures[1] and pictures[1][1]
if first and redis.call('EXISTS', job_prefix .. first, gone_prefix .. first) > 0 then return {'admitted', ''} end
local batch = redis.call('HMGET', batch_key, 'state', 'added')
if not batch[1] then return {'unknown', ''} end
local requests_key, added = batch_key .. ':requests', tonumber(batch[2])
if request ~= '' then
  local earlier = redis.call('HGET', requests_key, request)
  if earlier then
    earlier = cjson.decode(earlier)
    return {earlier[1] == fingerprint and 'joined' or 'conflict', earlier[2]}
  end
end
if batch[1] ~= 'open' then return {'not open', ''} end
if added + #pictures > tonumber(max_pictures) then return {'too many', ''} end

local count, bytes = 0, 0
for _, picture in ipairs(pictures) do
  if picture[5] == '' then
    if in_redis == '1' and redis.call('EXISTS', picture_prefix .. picture[1]) == 0 then return {'unstored', ''} end
    count, bytes = count + 1, bytes + picture[3]
  end
end
local stored = tonumber(redis.call('GET', bytes_key) or 0)
if count > 0 and (redis.call('ZCARD', open_key) + count > tonumber(max_open_jobs)
                  or stored + bytes > tonumber(max_stored_bytes)) then
  return {'full', ''}
end

-- First writes that take memory: at `maxmemory` Redis refuses them, and nothing has been written yet.
if request ~= '' then redis.call('HSET', requests_key, request, cjson.encode({fingerprint, answer})) end
local now, known = now_ms(), 0
for place, picture in ipairs(pictures) do
  place = added + place
  redis.call('HSET', batch_key .. ':pictures', place, picture[2])
  local job, fields = picture[1], picture[4]
  fields[#fields + 1], fields[#fields + 2], fields[#fields + 3], fields[#fields + 4] = 'batch', id, 'place', place
  if picture[5] == '' then
    redis.call('EXPIRE', picture_prefix .. job, picture_ttl_seconds)
    enqueue(job, job_prefix .. job, next_order(now), now, picture[3], fields)
  else
    write_known(job_prefix .. job, gone_prefix .. job, now, fields)
    redis.call('HSET', batch_key .. ':outcomes', place, picture[5])
    known = known + 1
  end
end
if known > 0 then
  redis.call('HINCRBY', batch_key, 'succeeded', known)
  redis.call('HINCRBY', batch_key, 'ended', known)
end
redis.call('HSET', batch_key, 'added', added + #pictures)
for _, part in ipairs({'', ':pictures', ':outcomes', ':requests'}) do
  redis.call('EXPIRE', batch_key .. part, open_ttl_seconds)
end
redis.call('ZADD', batches_key, now + open_ttl_seconds * 1000, id)
return {'admitted', ''}
