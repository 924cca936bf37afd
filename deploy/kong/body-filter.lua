-- Kong's post-function plugin, phase body_filter; global, in the default sandbox. header-filter.lua is the other half.
-- Writes the JSON of an error, and a Z behind the times of an answer, which the gateway writes without a zone.

local names = {
  [0] = "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
  "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

local function quoted(text)
  return '"' .. text:gsub('[%c"\\]', function(sign)
    if sign == '"' or sign == "\\" then return "\\" .. sign end
    return ("\\u%04x"):format(sign:byte())
  end) .. '"'
end

-- Kong words its own errors as the client's Accept asks for: JSON, XML, HTML or text.
local function wording(body)
  local text = body:match('^%s*{.-"message"%s*:%s*"(.-[^\\])"')
  if text then return (text:gsub('\\(["\\/])', "%1")) end
  if body:find("^%s*<") then
    return body:match("<p>(.-)%.?</p>") or body:match("<message>(.-)</message>") or body:match("<h1>%d+ (.-)</h1>") or ""
  end
  return (body:gsub("%s*request_id: %x+%s*$", ""):gsub("%s+$", ""))
end

local plugin = kong.ctx.plugin
local chunk, last = ngx.arg[1] or "", ngx.arg[2]
local failure = plugin.failure

if failure and plugin.over then
  ngx.arg[1] = nil
elseif failure then
  -- an error is short: all of it first, then ours in its place
  plugin.text = (plugin.text or "") .. chunk
  ngx.arg[1] = nil
  if last then
    local message = failure.message
    if message then
      message = message:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
    else
      message = wording(plugin.text)
      if message == "" then message = names[failure.code] or "UNKNOWN" end
    end
    local details = "[]"
    local given = failure.details and ngx.decode_base64(failure.details)
    if given and given:sub(1, 1) == "[" and given:sub(-1) == "]" then
      details = given
    elseif failure.reason then
      details = ('[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"%s","domain":"customer-management","metadata":{}}]')
        :format(failure.reason)
    end
    ngx.arg[1] = '{"code":' .. failure.code .. ',"status":"' .. (names[failure.code] or "UNKNOWN") .. '","message":'
      .. quoted(message) .. ',"details":' .. details .. "}"
    plugin.text, plugin.over = nil, true
  end
elseif plugin.times and #chunk > 0 then
  -- The gateway gives a whole message at once; a quote inside of a text is escaped, so this meets names alone.
  ngx.arg[1] = (chunk:gsub('(_time":"%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d)"', '%1Z"'))
end
