-- Counts a job that ends in `state`, by the minute of its end. There is one hash for each hour, which expires: so the
-- memory is limited. Included in scripts that name `history_prefix` and `history_ttl_seconds`.
local function count_ended(state, now)
  local minute = math.floor(now / 60000)
  local hour_key = history_prefix .. math.floor(minute / 60)
  if redis.call('HINCRBY', hour_key, minute .. ':' .. state, 1) == 1 then
    redis.call('EXPIRE', hour_key, history_ttl_seconds)
  end
end
