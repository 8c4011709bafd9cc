-- The look-up of the nginx-lua contender: skey header -> SHA-256 -> GET -> identity, refused with 401 when there is
-- no session and with 503 when Redis cannot say.
local ffi = require "ffi"
local base64url = require("ngx.base64").encode_base64url
local redis = require "nginx.redis"

-- nginx is linked with libcrypto, so the hash costs one foreign call and no package.
ffi.cdef [[ unsigned char *SHA256(const unsigned char *d, size_t n, unsigned char *md); ]]
local digest = ffi.new("unsigned char[32]")

local M = {}

local function refuse(status, name, errcode, message)
    ngx.var.outcome = name
    local body = '{"error":"' .. name .. '","errcode":' .. errcode .. ',"errmsg":"' .. message
        .. '","request_id":"' .. ngx.var.request_id .. '"}'
    ngx.status = status
    ngx.header["Content-Type"] = "application/json"
    ngx.header["Content-Length"] = #body
    ngx.header["X-Gateway-Error"] = name
    ngx.print(body)
    return ngx.exit(status)
end

local function not_logged_in()
    return refuse(401, "not_logged_in", 40001, "not logged in")
end

local function unavailable()
    return refuse(503, "store_unavailable", -1, "try again")
end

function M.check()
    local skey = ngx.var.http_skey
    if not skey or not ngx.re.find(skey, "^[A-Za-z0-9_-]{20,128}$", "jo") then
        return not_logged_in()
    end
    ffi.C.SHA256(skey, #skey, digest)
    local link = redis:new()
    link:set_timeouts(500, 300, 300)
    local connected = link:connect("127.0.0.1", M.redis_port)
    if not connected then
        return unavailable()
    end
    local value, failure = link:get("lua:s:" .. base64url(ffi.string(digest, 32)))
    if failure then
        return unavailable()
    end
    link:set_keepalive(60000, 1024)
    if value == ngx.null then
        return not_logged_in()
    end
    -- openid TAB user id: the cheapest value there is, in this contender's favour.
    local tab = string.find(value, "\t", 1, true)
    ngx.var.openid = string.sub(value, 1, tab - 1)
    ngx.var.user_id = string.sub(value, tab + 1)
    ngx.var.outcome = "user"
end

return M
