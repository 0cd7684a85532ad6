# root:dovecot 0640
-- What Dovecot asks the directory: is this password right, and where is the mailbox of who logs in.
--
-- Runs in Dovecot's auth-worker processes. When there is no clear answer the result is an internal failure, "try later":
-- never "wrong password", which makes mail programs throw passwords away.

local BASE = "http://127.0.0.1:21001"
local SECRET = "directory-secret"
local MAIL = "/mailu/mail"

local client = dovecot.http.client {
  connect_timeout_msecs = 2000,
  request_timeout_msecs = 10000,
  max_attempts = 2,
  max_idle_time_msecs = 30000,
  user_agent = "dovecot",
}

local function percent(text)
  return (tostring(text or ""):gsub("[^A-Za-z0-9._~-]", function(c) return string.format("%%%02X", c:byte()) end))
end

-- JSON: a flat object of strings, numbers, true, false, null, as the directory writes it. Returns nil for anything else.
local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function json_string(text, at)
  local parts = {}
  while true do
    local stop = text:find('["\\]', at)
    if not stop then return nil end
    parts[#parts + 1] = text:sub(at, stop - 1)
    if text:sub(stop, stop) == '"' then return table.concat(parts), stop + 1 end
    local kind = text:sub(stop + 1, stop + 1)
    at = stop + 2
    if kind == "u" then
      local code = tonumber(text:match("^%x%x%x%x", at) or "", 16)
      if not code then return nil end
      at = at + 4
      if code >= 0xD800 and code < 0xDC00 then
        local low = tonumber(text:match("^\\u(%x%x%x%x)", at) or "", 16)
        if low and low >= 0xDC00 and low < 0xE000 then
          code, at = 0x10000 + (code - 0xD800) * 0x400 + (low - 0xDC00), at + 6
        end
      end
      -- Half a pair is no character.
      parts[#parts + 1] = utf8.char((code >= 0xD800 and code < 0xE000) and 0xFFFD or code)
    else
      parts[#parts + 1] = ESCAPES[kind] or kind
    end
  end
end

local function json_object(text)
  local found, at = {}, text:match("^%s*[{]()")
  while at do
    local key, value
    at = text:match('^%s*"()', at)
    if not at then return text:match("^%s*[{]%s*[}]%s*$") and found or nil end
    key, at = json_string(text, at)
    at = at and text:match("^%s*:%s*()", at)
    if not at then return nil end
    if text:sub(at, at) == '"' then
      value, at = json_string(text, at + 1)
      if not at then return nil end
    else
      local word
      word, at = text:match("^([%w.+-]+)()", at)
      if word == "true" then value = true
      elseif word == "false" then value = false
      elseif word ~= "null" then
        value = tonumber(word or "")
        if value == nil then return nil end
      end
    end
    found[key] = value
    if text:match("^%s*[}]%s*$", at) then return found end
    at = text:match("^%s*,()", at)
  end
  return nil
end

-- Ask; returns the HTTP status and the body. Dovecot's client reports every failure of its own as a status above 9000.
-- What is to say stands in *headers*: before a request with a body the client waits up to two seconds for "100 Continue".
local function ask(method, path, headers)
  local request = client:request { url = BASE .. path, method = method }
  request:add_header("X-Mailu-Secret", SECRET)
  for name, value in pairs(headers or {}) do request:add_header(name, percent(value)) end
  local response = request:submit()
  return response:status(), response:payload()
end

-- The mailbox, for the userdb "prefetch": the same fields as the directory gives LMTP (servers/mailboxes.py).
local function mailbox(answer)
  local quota = math.tointeger(answer.quota_bytes or 0) or 0
  return {
    userdb_home = MAIL .. "/" .. answer.home,
    userdb_quota_rule = "*:bytes=" .. quota,
  }
end


-- The protocol, as the judge calls it.
local function protocol_of(request)
  local protocol = request.service
  return protocol
end

function auth_password_verify(request, password)
  local status, body = ask("POST", "/auth", {
    ["Auth-User"] = request.original_user,
    ["Auth-Pass"] = password,
    ["Auth-Protocol"] = protocol_of(request),
    ["Auth-Port"] = request.local_port,
    ["Auth-SSL"] = (request.secured or "") == "" and "no" or "yes",
    ["Client-IP"] = request.remote_ip,
    ["Client-Port"] = request.remote_port,
  })
  local answer = status == 200 and json_object(body) or nil
  if not answer then
    return dovecot.auth.PASSDB_RESULT_INTERNAL_FAILURE, "the directory does not answer (" .. status .. ")"
  end
  if answer.result == "ok" and answer.user and answer.home then
    local fields = mailbox(answer)
    fields.user = answer.user
    return dovecot.auth.PASSDB_RESULT_OK, fields
  end
  local reason = tostring(answer.code or answer.reason or answer.result)
  if answer.result == "fail" then return dovecot.auth.PASSDB_RESULT_PASSWORD_MISMATCH, reason end
  if answer.result == "disabled" then return dovecot.auth.PASSDB_RESULT_USER_DISABLED, reason end
  -- Not now: too many attempts, a database that is away.
  return dovecot.auth.PASSDB_RESULT_INTERNAL_FAILURE, "not decided: " .. reason
end
