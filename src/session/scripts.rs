//! Atomic steps in Redis. Each script touches one key, so each also works in a cluster. Scripts are
//! sent whole: they run at logins and renewals only, and a script cache that was flushed would cost
//! a second round trip.

/// First byte of a session that may be renewed; an ending session has `E` instead.
pub(super) const LIVE: u8 = b'L';

/// Renews a session only if its value is unchanged, so that a revoked or ending one stays so.
/// Key: session. Arguments: head of the value read, new value, seconds.
pub(super) const RENEW: &str = "
local v = redis.call('GET', KEYS[1])
if v and string.sub(v, 1, #ARGV[1]) == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
  return 1
end
return 0";

/// Replaces a session whose value is unchanged; its expiry stays.
/// Key: session. Arguments: head of the value read, new value.
pub(super) const AMEND: &str = "
local v = redis.call('GET', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if v and left > 0 and string.sub(v, 1, #ARGV[1]) == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', left)
  return 1
end
return 0";

/// Ends a session within the grace period. The mark changes as well, because a renewal could undo a
/// shorter expiry alone.
/// Key: session. Argument: seconds.
pub(super) const END: &str = "
local v = redis.call('GET', KEYS[1])
if not v or string.sub(v, 1, 1) ~= 'L' then return 0 end
local left = redis.call('TTL', KEYS[1])
local grace = tonumber(ARGV[1])
if left < 1 or left > grace then left = grace end
redis.call('SET', KEYS[1], 'E' .. string.sub(v, 2), 'EX', left)
return 1";

/// Adds a session to its user's list, drops entries older than the maximum age, and returns the
/// length. Redis' clock orders them, so that replicas with different clocks agree on the newest.
/// Key: list. Arguments: session hash, maximum age in seconds.
pub(super) const LIST: &str = "
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local oldest = now - ARGV[2] * 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', oldest))
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])";

/// Puts a session_key first in the history of two, without duplicates.
/// Key: history. Arguments: fingerprint of the session_key, fingerprint and sealed session_key,
/// seconds.
pub(super) const REMEMBER: &str = "
for _, v in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  if string.sub(v, 1, #ARGV[1]) == ARGV[1] then redis.call('LREM', KEYS[1], 0, v) end
end
redis.call('LPUSH', KEYS[1], ARGV[2])
redis.call('LTRIM', KEYS[1], 0, 1)
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1";

/// Sets the ids merged into a user if the value is unchanged, or still absent.
/// Key: ids. Arguments: value read, empty for none; new value; seconds.
pub(super) const MERGED: &str = "
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1";
