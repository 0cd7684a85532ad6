-- Generated. Keys for DKIM and ARC, asked for in place of Rspamd's own client of a vault, to which "there is none" and
-- "no answer" are one and the same: mail of our people would leave unsigned while the directory is away.

local dkim_tools = require "lua_dkim_tools"
local rspamd_http = require "rspamd_http"
local rspamd_rsa_privkey = require "rspamd_rsa_privkey"
local rspamd_util = require "rspamd_util"
local ucl = require "ucl"

local URL = '{{ directory }}/rspamd/vault'
local STATE = 'signing'
-- How long an answer is believed: a change of keys is in effect after this time.
local FRESH_SECONDS = 1
local MOST_READ = 200

-- Answers by domain, until then. By the clock that nobody sets.
local answers, fresh_until = {}, 0

local function fresh_answers()
  local now = rspamd_util.get_ticks()
  if now >= fresh_until then answers, fresh_until = {}, now + FRESH_SECONDS end
  return answers
end

-- Reading an RSA key takes longer than signing with it; the seals of ARC would have theirs read for each message.
local read, read_count = {}, 0
local read_pem = rspamd_rsa_privkey.load_pem

rspamd_rsa_privkey.load_pem = function(text)
  if not read[text] then
    if read_count >= MOST_READ then read, read_count = {}, 0 end
    read[text], read_count = read_pem(text), read_count + 1
  end
  return read[text]
end

-- Rspamd 3.12 has a list of vaults here, in which its own ARC finds none.
local prepare = dkim_tools.prepare_dkim_signing

dkim_tools.prepare_dkim_signing = function(module, task, settings)
  local signs, wanted = prepare(module, task, settings)
  if module == 'arc' and signs and wanted[1] and wanted[1].vault then wanted = wanted[1] end
  return signs, wanted
end

-- The keys in an answer, an empty list for "none"; nil for no answer.
local function keys_in(code, body)
  if code == 404 then return {} end
  local parser = ucl.parser()
  if code ~= 200 or not parser:parse_string(tostring(body)) then return nil end
  local data = parser:get_object().data
  return data and data.selectors
end

local function quoted(domain)
  return (domain:gsub('[^%w.-]', function(octet) return string.format('%%%02X', octet:byte()) end))
end

-- An operator's own vault is asked by Rspamd itself.
local ask_a_vault = dkim_tools.sign_using_vault

dkim_tools.sign_using_vault = function(module, task, settings, wanted, sign, failed)
  if settings.vault_url ~= URL then return ask_a_vault(module, task, settings, wanted, sign, failed) end
  -- A seal is for those who like to have one; a signature of our own is not left out.
  local needed = module ~= 'arc'
  if needed then task:cache_set(STATE, 'asked') end
  local function use(keys)
    if needed then task:cache_set(STATE, #keys > 0 and settings.symbol or 'no key') end
    for _, key in ipairs(keys) do
      sign(task, { rawkey = key.key, selector = key.selector, domain = key.domain, alg = key.alg })
    end
  end
  local function answered(err, code, body)
    local keys = keys_in(code, body)
    if keys then
      fresh_answers()[wanted.domain] = keys
      use(keys)
    else
      failed(task, string.format('the directory does not say the keys of %s: %s', wanted.domain, err or code))
    end
  end
  local known = fresh_answers()[wanted.domain]
  if known then return use(known) end
  local asked = rspamd_http.request({
    task = task,
    url = URL .. '/v1/dkim/' .. quoted(wanted.domain),
    headers = { ['X-Vault-Token'] = settings.vault_token },
    callback = answered,
    timeout = settings.http_timeout,
    keepalive = true,
    no_ssl_verify = true,
  })
  if not asked then answered('not asked') end
end

rspamd_config:register_symbol({
  name = 'SIGNING_LATER',
  type = 'postfilter',
  priority = 9,
  flags = 'empty,nostat',
  callback = function(task)
    local state = task:cache_get(STATE)
    if state and state ~= 'no key' and not task:has_symbol(state) then
      task:set_pre_result('soft reject', 'Please retry later (the message could not be signed)', 'signing')
    end
  end,
})
