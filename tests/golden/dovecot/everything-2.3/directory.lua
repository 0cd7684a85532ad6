# root:dovecot 0640
-- What Dovecot asks the directory: is this password right, and where is this mailbox.
--
-- Runs in Dovecot's auth-worker processes. When there is no clear answer the result is an internal failure, "try later":
-- never "wrong password", which makes mail programs throw passwords away, and never "no such user", which bounces mail.

local BASE = "http://127.0.0.1:21001"
local SECRET = "directory-secret"
local MAIL = "/mailu/mail"
-- A userdb answer may have 8192 bytes; everything but the text of the automatic reply needs less than the rest. Nobody
-- can store a longer text (directory/changes/values.py); if there should be one, mail comes all the same.
local REPLY_BYTES = 5000

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

-- Dovecot 2.3 expands % in what becomes a plugin setting.
local function setting(value) return (tostring(value):gsub("%%", "%%%%")) end

-- The mailbox: userdb fields, each name behind *prefix*.
local function mailbox(answer, prefix)
  local quota = math.tointeger(answer.quota_bytes or 0) or 0
  return {
    [prefix .. "home"] = MAIL .. "/" .. answer.home,
    [prefix .. "quota_rule"] = "*:bytes=" .. quota,
  }
end

local function one_line(text)
  return (tostring(text or ""):gsub("%c+", " "):gsub("^ +", ""):gsub(" +$", ""))
end

local BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(text)
  local encoded = text:gsub("..?.?", function(group)
    local first, second, third = group:byte(1, 3)
    local bits = first << 16 | (second or 0) << 8 | (third or 0)
    local word = ""
    for place = 18, 0, -6 do
      local value = bits >> place & 63
      word = word .. BASE64:sub(value + 1, value + 1)
    end
    return word:sub(1, #group + 1) .. ("="):rep(3 - #group)
  end)
  return encoded
end

-- "Name <address>": whatever was typed is a name. In ASCII it is quoted (RFC 5322 s3.2.4), else it becomes encoded words
-- of whole characters and at most 75 letters (RFC 2047 s2).
local function mailbox_with_name(name, address)
  name = one_line(name)
  if name == "" or not utf8.len(name) then return address end
  if not name:find("[\128-\255]") then return '"' .. name:gsub('[\\"]', "\\%0") .. '" <' .. address .. ">" end
  local words, word = {}, ""
  for character in name:gmatch(utf8.charpattern) do
    if #word + #character > 45 then
      words[#words + 1], word = word, ""
    end
    word = word .. character
  end
  words[#words + 1] = word
  for number, text in ipairs(words) do words[number] = "=?utf-8?b?" .. base64(text) .. "?=" end
  return table.concat(words, " ") .. " <" .. address .. ">"
end

-- The beginning of *text* that takes no more than REPLY_BYTES on its way, not cut inside a character.
local function shortened(text)
  text = text:gsub("\r\n?", "\n"):gsub("[%z\1-\8\11-\31\127]", "")
  local size, last = 0, #text
  for at = 1, #text do
    size = size + (text:find("^[\n\t%%]", at) and 2 or 1)
    if size > REPLY_BYTES then
      last = at - 1
      break
    end
  end
  if last == #text then return text end
  while last > 0 and (text:byte(last + 1) & 0xC0) == 0x80 do last = last - 1 end
  return text:sub(1, last) .. "\xE2\x80\xA6"
end

-- What the system's Sieve script reads (sieve/system.sieve).
local function sieve_environment(answer)
  local environment = { allow_mark = answer.allow_mark or "", deny_mark = answer.deny_mark or "" }
  -- X-Spam-Level has a star for each point; 15 points are all. What is filed has more than the tolerance, in percent.
  local tolerance = math.tointeger(answer.spam_threshold or 80) or 80
  local stars = math.max(tolerance, 0) * 15 // 100 + 1
  if answer.spam_enabled and stars <= 15 then
    environment.spam_level = ("\\*"):rep(stars) .. "*"
    environment.spam_mark_as_read = answer.spam_mark_as_read and "yes" or "no"
  end
  local today = os.date("%Y-%m-%d")
  if answer.reply_enabled and (answer.reply_startdate or "") <= today and (answer.reply_enddate or "9999") >= today then
    environment.reply = "yes"
    environment.reply_from = mailbox_with_name(answer.displayed_name, answer.user)
    environment.reply_subject = one_line(answer.reply_subject)
    environment.reply_body = shortened(tostring(answer.reply_body or ""))
  end
  return environment
end

-- TLS ends before us on another port of this service, so Dovecot takes passwords without it; on these it must not.
local NEEDS_TLS = { ["110"] = true, ["143"] = true, ["4190"] = true, }

-- The protocol, as the judge calls it.
local function protocol_of(request)
  local protocol = request.service
  return protocol
end

function auth_password_verify(request, password)
  if NEEDS_TLS[tostring(request.local_port)] and (request.secured or "") == "" then
    return dovecot.auth.PASSDB_RESULT_INTERNAL_FAILURE, "a password came without TLS on port " .. request.local_port
  end
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
    local fields = mailbox(answer, "userdb_")
    fields.user = answer.user
    return dovecot.auth.PASSDB_RESULT_OK, fields
  end
  local reason = tostring(answer.code or answer.reason or answer.result)
  if answer.result == "fail" then return dovecot.auth.PASSDB_RESULT_PASSWORD_MISMATCH, reason end
  if answer.result == "disabled" then return dovecot.auth.PASSDB_RESULT_USER_DISABLED, reason end
  -- Not now: too many attempts, a database that is away.
  return dovecot.auth.PASSDB_RESULT_INTERNAL_FAILURE, "not decided: " .. reason
end

function auth_userdb_lookup(request)
  local status, body = ask("GET", "/user/" .. percent(request.user))
  if status == 404 then return dovecot.auth.USERDB_RESULT_USER_UNKNOWN, "no such mailbox" end
  local answer = status == 200 and json_object(body) or nil
  if not (answer and answer.user and answer.home) then
    return dovecot.auth.USERDB_RESULT_INTERNAL_FAILURE, "the directory does not answer (" .. status .. ")"
  end
  local fields = mailbox(answer, "")
  fields.user = answer.user
  if request.service == "lmtp" then
    for name, value in pairs(sieve_environment(answer)) do
      -- An empty field would arrive as "yes"; one that is not there is empty in Sieve.
      if value ~= "" then
        fields["sieve_env_" .. name] = setting(value)
      end
    end
    -- Who has rules has a script made of them, between the system's and their own.
    if answer.has_rules then fields.sieve_before2 = setting("dict:proxy:/mailu/run/usage/dict:rules;name=rules;bindir=~/sieve-rules") end
  end
  return dovecot.auth.USERDB_RESULT_OK, fields
end

-- For doveadm -A.
function auth_userdb_iterate()
  local users = {}
  local status, body = ask("GET", "/users")
  if status ~= 200 then error("the directory does not answer (" .. status .. ")") end
  for address in body:gmatch("[^\n]+") do users[#users + 1] = address end
  return users
end
