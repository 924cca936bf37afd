-- Kong's post-function plugin, phase header_filter; global, in the default sandbox. body-filter.lua is the other half.
-- Tells an unknown route by 404, marks errors for the body, and takes gRPC's own headers away.

local function header(name)
  local value = kong.response.get_header(name)
  if type(value) == "table" then return value[1] end
  return value
end

-- What nginx or a plugin refuses by itself has no gRPC code: HTTP status -> code, reason.
local refusals = {
  [400] = { 3, "FIELD_INVALID" }, [401] = { 16, "CREDENTIAL_INVALID" }, [403] = { 7, "PERMISSION_MISSING" },
  [404] = { 5, "ROUTE_NOT_FOUND" }, [405] = { 12, "ROUTE_NOT_FOUND" }, [408] = { 4, "DEADLINE" },
  [411] = { 3, "FIELD_INVALID" }, [413] = { 8, "REQUEST_TOO_LARGE" }, [414] = { 3, "REQUEST_TOO_LARGE" },
  [429] = { 8, "RATE_LIMITED" }, [431] = { 3, "REQUEST_TOO_LARGE" }, [494] = { 3, "REQUEST_TOO_LARGE" },
  [499] = { 1, "CANCELLED" }, [502] = { 14, "DEPENDENCY_DOWN" }, [503] = { 14, "DEPENDENCY_DOWN" },
  [504] = { 4, "DEADLINE" },
}

local plugin = kong.ctx.plugin
plugin.failure, plugin.times, plugin.text, plugin.over = nil, nil, nil, nil

local status = kong.response.get_status()
local json = (header("content-type") or ""):sub(1, 16) == "application/json"

if status >= 400 then
  local source = kong.response.get_source()
  local code, message = tonumber(header("grpc-status")), header("grpc-message")

  -- The gateway knows no such path: it says 400, in a body without a type, or over HTTP/2 in grpc-message.
  local unknown = message and message:find("^failed to transcode %.proto file Unknown ")
    or not message and not header("content-type")
  if status == 400 and source == "exit" and unknown then
    status, code, message = 404, nil, "no such route"
  end
  -- Over HTTP/2 Kong writes its own errors as gRPC, and loses two of their statuses on the way.
  if source == "error" and status == 500 and ngx.var.upstream_status == "502" then
    status, code = 502, nil
  elseif source == "error" and status == 400 and message == "Payload too large" then
    status, code = 413, nil
  end
  kong.response.set_status(status)

  local refusal = refusals[status] or { status >= 500 and 13 or 3 }
  local own = code == nil
  plugin.failure = {
    code = code or refusal[1],
    reason = own and refusal[2] or nil,
    message = message,
    details = header("x-error-details-bin"),
  }
  kong.response.set_header("content-type", "application/json")
elseif json then
  plugin.times = true
end

if plugin.failure or plugin.times then kong.response.clear_header("content-length") end
for _, name in ipairs({ "grpc-status", "grpc-message", "grpc-status-details-bin", "grpc-encoding", "grpc-accept-encoding", "x-error-details-bin" }) do
  kong.response.clear_header(name)
end
