# root:_rspamd 0640
-- Generated. The lists of senders (docs/senders.md): the directory says what they mean for a message, here it is found out
-- whether its sender is proven.

local rspamd_http = require "rspamd_http"
local lua_mime = require "lua_mime"
local lua_util = require "lua_util"
local rspamd_util = require "rspamd_util"
local ucl = require "ucl"

local URL = 'http://127.0.0.1:21001/rspamd/senders'
local SECRET = 'directory-secret'
local HEADER = 'X-Mailu-Sender-Lists'
local REFUSED = 'mail from this sender is not accepted for this recipient'
-- Points that a message keeps where only some of its recipients allow the sender: just not refused.
local NOT_REFUSED = 20.0 - 0.1
-- The directory takes questions of 64 KiB.
local MOST_BYTES = 60000

-- There was no list at all, and until then nobody has to be asked. By the clock that nobody sets.
local quiet_until = 0

local function lower(text) return text and text:lower() or '' end

-- Whether who proves to be *parent* speaks for *name*: the same domain, or one above it.
local function covers(parent, name)
  return parent ~= '' and (parent == name or name:sub(-#parent - 1) == '.' .. parent)
end

local function question(task)
  local envelope, ip, bytes = task:get_from('smtp'), task:get_from_ip(), 0
  local asked = { mail_from = '', from = {}, recipients = {}, more = false, client = '' }
  if envelope and envelope[1] then asked.mail_from = envelope[1].addr end
  for _, from in ipairs(task:get_from('mime') or {}) do
    bytes = bytes + #from.addr
    if bytes < MOST_BYTES / 2 then table.insert(asked.from, from.addr) end
  end
  for _, recipient in ipairs(task:get_recipients('smtp') or {}) do
    bytes = bytes + #recipient.addr + 3
    if bytes < MOST_BYTES then table.insert(asked.recipients, recipient.addr) else asked.more = true end
  end
  if ip and ip:is_valid() then asked.client = tostring(ip) end
  return ucl.to_format(asked, 'json-compact')
end

rspamd_config:register_symbol({
  name = 'SENDER_LISTS_ASK',
  type = 'prefilter',
  priority = 9,
  flags = 'empty,nostat',
  callback = function(task)
    local ip = task:get_from_ip()
    if rspamd_util.get_ticks() < quiet_until then return end
    if task:get_user() or (ip and ip:is_valid() and ip:is_local()) or lua_util.is_rspamc_or_controller(task) then
      return
    end
    local function answered(err, code, body)
      local parser = ucl.parser()
      if err or code ~= 200 or not parser:parse_string(tostring(body)) then
        -- Somebody may not want this. Later there is an answer.
        task:set_pre_result('soft reject', 'Please try again later (the directory does not answer)', 'sender_lists')
        return
      end
      local said = parser:get_object()
      local cases = said.cases
      if said.quiet_seconds then quiet_until = rspamd_util.get_ticks() + said.quiet_seconds end
      if not cases then return end
      if cases.none.refuse and cases.e.refuse and cases.h.refuse and cases.eh.refuse then
        task:set_pre_result('reject', REFUSED, 'sender_lists')
        return
      end
      task:cache_set('sender_cases', cases)
      -- However many points there are, it is to be found out who the sender is.
      task:set_flag('pass_all')
    end
    local asked = rspamd_http.request({
      task = task,
      url = URL,
      method = 'post',
      headers = { ['X-Mailu-Secret'] = SECRET },
      mime_type = 'application/json',
      body = question(task),
      callback = answered,
      timeout = 3.0,
      keepalive = true,
      no_ssl_verify = true,
    })
    if not asked then answered('not asked') end
  end,
})

local function proven(task)
  local envelope, header = task:get_from('smtp'), task:get_from('mime')
  local sender = envelope and envelope[1] and lower(envelope[1].domain) or ''
  local author = header and #header == 1 and lower(header[1].domain) or ''
  local by_spf = sender ~= '' and task:has_symbol('R_SPF_ALLOW')
  local by_header = author ~= '' and (task:has_symbol('DMARC_POLICY_ALLOW') or (by_spf and covers(sender, author)))
  local dkim = task:get_symbol('R_DKIM_ALLOW')
  for _, option in ipairs(author ~= '' and dkim and dkim[1].options or {}) do
    by_header = by_header or covers(lower(option:match('^([^:]+)')), author)
  end
  local found = (by_spf and 'e' or '') .. (by_header and 'h' or '')
  return found ~= '' and found or 'none'
end

rspamd_config:register_symbol({
  name = 'SENDER_LISTED',
  type = 'postfilter',
  priority = 9,
  flags = 'nostat',
  score = 1.0,
  group = 'senders',
  description = 'Somebody has the sender on a list',
  callback = function(task)
    local cases = task:cache_get('sender_cases')
    local marks
    if cases then
      local case = cases[proven(task)]
      if case.refuse then
        task:set_pre_result('reject', REFUSED, 'sender_lists')
        return
      end
      marks = case.marks and #case.marks > 0 and table.concat(case.marks, ' ')
      if case.allow then
        local score, limit = task:get_metric_score('default')[1], case.allow == 'all' and 0 or NOT_REFUSED
        task:insert_result('SENDER_LISTED', math.min(limit - score, 0), 'allow ' .. case.allow)
        task:disable_action('greylist')
      end
    end
    if marks or task:has_header(HEADER) then
      lua_mime.modify_headers(task, {
        remove = { [HEADER] = 0 },
        add = marks and { [HEADER] = { order = 1, value = marks } } or {},
      })
    end
  end,
})
