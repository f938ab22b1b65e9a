"""What the server does in one go, in its own language: each script is all or, where it says so, message by message.

A script runs alone on the server, so that nobody sees half of what it does. Times are the server's, in milliseconds.
"""

from collections.abc import Sequence
from hashlib import sha1

from stepbus.adapters.redis.commands import Part, pack

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""


class Script:
    """A script, known to the server by the hash of its text once it was loaded."""

    def __init__(self, text: str) -> None:
        self.loading = pack("SCRIPT", "LOAD", text)
        self._digest = sha1(text.encode(), usedforsecurity=False).hexdigest()

    def call(self, keys: Sequence[str], arguments: Sequence[Part]) -> bytes:
        """Give the command that runs it."""
        return pack("EVALSHA", self._digest, len(keys), *keys, *arguments)


PUBLISH = Script(
    _NOW
    + """
-- KEYS: the mark, then the streams that are sent to.
-- ARGV: of each stream how many, for how long and with how long a rest it keeps, and how many ids it knows;
-- then of each message the number of its stream, its id and its body.
-- Gives for each message 1, or why it was refused; 'absent' if the channels are not provisioned.
local window = 120000
if redis.call('EXISTS', KEYS[1]) == 0 then return 'absent' end

local streams = {}
for s = 1, #KEYS - 1 do
  local a = 4 * (s - 1)
  local key = KEYS[s + 1]
  local one = {key = key, most = tonumber(ARGV[a + 1]), age = tonumber(ARGV[a + 2]), rest = tonumber(ARGV[a + 3]),
               known = tonumber(ARGV[a + 4]), ids = key .. ':ids', old = key .. ':ids:old'}
  if one.known > 0 then
    -- a set takes ids for one window and is known for two; then, or when it is full, a new one is begun
    local left = redis.call('PTTL', one.ids)
    if left ~= -2 and (left < window or redis.pcall('SCARD', one.ids) >= one.known) then
      redis.call('RENAME', one.ids, one.old)
      left = -2
    end
    one.is_new = left == -2
    one.has_old = redis.call('EXISTS', one.old) == 1
  end
  streams[s] = one
end

local function add(one, entry, id, body)
  if one.most > 0 then
    return redis.pcall('XADD', one.key, 'MAXLEN', '~', one.most, entry, 'id', id, 'body', body)
  end
  return redis.pcall('XADD', one.key, entry, 'id', id, 'body', body)
end

-- microseconds in the number of an entry keep those of several streams in the order sent
local place = (time[2] % 1000) * 1000000
local answers = {}
for m = 4 * #streams + 1, #ARGV, 3 do
  local one = streams[tonumber(ARGV[m])]
  local id, body = ARGV[m + 1], ARGV[m + 2]
  local added = one.known > 0 and redis.pcall('SADD', one.ids, id) or 1
  if added == 1 and not (one.has_old and redis.call('SISMEMBER', one.old, id) == 1) then
    place = place + 1
    added = add(one, string.format('%d-%d', now, place), id, body)
    if type(added) == 'table' and string.find(added.err, 'equal or smaller', 1, true) then
      added = add(one, '*', id, body)
    end
    if type(added) == 'table' and one.known > 0 then redis.call('SREM', one.ids, id) end
  end
  answers[#answers + 1] = type(added) == 'table' and added.err or 1
end

for _, one in ipairs(streams) do
  if one.is_new then redis.call('PEXPIRE', one.ids, 2 * window) end
  if one.age > 0 then redis.pcall('XTRIM', one.key, 'MINID', '~', string.format('%d', now - one.age)) end
  if one.rest > 0 then redis.call('PEXPIRE', one.key, one.rest) end
end
return answers
"""
)

PROVISION = Script(
    """
-- KEYS: the streams. ARGV: for each the group to make, or ''.
-- Makes what is not there; nothing at all if a key is of another type, and gives these with their types.
local wrong = {}
for _, key in ipairs(KEYS) do
  local found = redis.call('TYPE', key).ok
  if found ~= 'none' and found ~= 'stream' then wrong[#wrong + 1] = {key, found} end
end
if #wrong > 0 then return wrong end
for k, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 0 then
    redis.call('XGROUP', 'CREATE', key, 'new', '0', 'MKSTREAM')
    redis.call('XGROUP', 'DESTROY', key, 'new')
  end
  if ARGV[k] ~= '' then redis.pcall('XGROUP', 'CREATE', key, ARGV[k], '0') end
end
return {}
"""
)

JOIN = Script(
    """
-- KEYS: the mark, then the streams. ARGV: the group, and 1 if it must be the only one.
-- Makes the group where it is not; gives {} or what is in the way: 'absent', or {key, type, other group}.
if redis.call('EXISTS', KEYS[1]) == 0 then return 'absent' end
for k = 2, #KEYS do
  local found = redis.call('TYPE', KEYS[k]).ok
  if found ~= 'none' and found ~= 'stream' then return {KEYS[k], found, ''} end
  for _, group in ipairs(found == 'stream' and redis.call('XINFO', 'GROUPS', KEYS[k]) or {}) do
    if ARGV[2] == '1' and group[2] ~= ARGV[1] then return {KEYS[k], 'stream', group[2]} end
  end
end
for k = 2, #KEYS do
  redis.pcall('XGROUP', 'CREATE', KEYS[k], ARGV[1], '0', 'MKSTREAM')
  for _, one in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[k], ARGV[1])) do
    -- one that is alive is made again when it next asks
    if one[4] == 0 and one[6] > 600000 then redis.call('XGROUP', 'DELCONSUMER', KEYS[k], ARGV[1], one[2]) end
  end
end
return {}
"""
)

REDELIVER = Script(
    _NOW
    + """
-- KEYS: the streams, each with the set of what is to come again. ARGV: group, consumer, how many, ack wait, 1 to sweep.
-- Gives {number of the stream, entry, fields, count} of what is due, which is the consumer's from now on.
local group, consumer, left, wait = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local taken = {}

local function take(s, stream, id)
  local entry = redis.call('XCLAIM', stream, group, consumer, 0, id)[1]
  if entry then
    local count = redis.call('XPENDING', stream, group, id, id, 1)[1][4]
    taken[#taken + 1] = {s, entry[1], entry[2], count}
    left = left - 1
  end
end

for k = 1, #KEYS, 2 do
  local s, stream, again = (k - 1) / 2, KEYS[k], KEYS[k + 1]
  if ARGV[5] == '1' then
    for _, late in ipairs(redis.call('XPENDING', stream, group, 'IDLE', wait, '-', '+', 1000)) do
      local added = redis.pcall('ZADD', again, 'NX', now, late[1])
      if added == 0 and late[2] == 'returned' then
        redis.call('XCLAIM', stream, group, 'returned', 0, late[1], 'JUSTID')  -- waits for its time; not late
      elseif type(added) == 'table' and left > 0 then
        take(s, stream, late[1])  -- no memory to note it
      end
    end
  end
  if left > 0 then
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', again, '-inf', now, 'LIMIT', 0, left)) do
      redis.call('ZREM', again, id)
      take(s, stream, id)
    end
  end
end
return taken
"""
)

GIVE_BACK = Script(
    _NOW
    + """
-- KEYS: a stream and the set of what is to come again. ARGV: group, consumer, ack wait, delay;
-- then of each entry its number, its count now and the count that it goes back with.
-- Gives back what is still the consumer's.
local group, wait, delay = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
for m = 5, #ARGV, 3 do
  local id = ARGV[m]
  local held = redis.call('XPENDING', KEYS[1], group, id, id, 1)[1]
  if held and held[2] == ARGV[2] and held[4] == tonumber(ARGV[m + 1]) then
    local added = redis.pcall('ZADD', KEYS[2], now + delay, id)
    local idle = type(added) == 'table' and math.max(0, wait - delay) or 0  -- no memory to note it
    redis.call('XCLAIM', KEYS[1], group, 'returned', 0, id, 'IDLE', idle, 'RETRYCOUNT', ARGV[m + 2], 'JUSTID')
  end
end
return 1
"""
)

EXTEND = Script(
    """
-- KEYS: a stream. ARGV: group, consumer, entry, its count. Starts the wait anew if it is still the consumer's.
local held = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)[1]
if held and held[2] == ARGV[2] and held[4] == tonumber(ARGV[4]) then
  redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'IDLE', 0, 'JUSTID')
end
return 1
"""
)

LEAVE = Script(
    """
-- KEYS: the streams. ARGV: group, consumer. Deletes the consumer where nothing is pending.
for _, key in ipairs(KEYS) do
  local pending = redis.pcall('XPENDING', key, ARGV[1], '-', '+', 1, ARGV[2])
  if not pending.err and #pending == 0 then redis.call('XGROUP', 'DELCONSUMER', key, ARGV[1], ARGV[2]) end
end
return 1
"""
)

ALL = (PUBLISH, PROVISION, JOIN, REDELIVER, GIVE_BACK, EXTEND, LEAVE)
