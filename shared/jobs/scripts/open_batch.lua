-- Writes a new, empty batch, unless `max_open` are open, or it has a webhook (`webhook` is "1") and `max_deliveries` are.
-- May be sent twice: the second time the record exists, and nothing changes.
-- `fields` is a JSON list of alternating names and values. Returns "opened", "full" or "undelivered".
local batch_key, batches_key, deliveries_key = unpack(KEYS)
local id, max_open, webhook, max_deliveries, open_ttl_seconds, fields = unpack(ARGV)

if redis.call('EXISTS', batch_key) == 1 then return 'opened' end
local now = now_ms()
if redis.call('ZCOUNT', batches_key, now, '+inf') >= tonumber(max_open) then return 'full' end
if webhook == '1' and redis.call('ZCARD', deliveries_key) >= tonumber(max_deliveries) then return 'undelivered' end
redis.call('HSET', batch_key, 'state', 'open', 'opened_ms', now, 'added', 0, 'ended', 0, unpack(cjson.decode(fields)))
redis.call('EXPIRE', batch_key, open_ttl_seconds)
-- By the time until which it is kept: batches that nobody closes are forgotten.
redis.call('ZREMRANGEBYSCORE', batches_key, '-inf', now)
redis.call('ZADD', batches_key, now + open_ttl_seconds * 1000, id)
return 'opened'
