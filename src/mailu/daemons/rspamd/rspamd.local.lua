-- Generated. Facts that the anti-spoofing rules in force_actions.conf are made of.

local function lower(text)
  return text and text:lower() or nil
end

-- A domain proves another when it is the same, above it, or below it. No list of suffixes is asked: a domain that is
-- hosted here and everything below it have one owner.
local function aligned(one, other)
  if not one or not other or one == '' or other == '' then
    return false
  end
  return one == other or one:sub(-#other - 1) == '.' .. other or other:sub(-#one - 1) == '.' .. one
end

local function header_from_domain(task)
  local from = task:get_from('mime')
  return from and from[1] and lower(from[1].domain)
end

-- From Postfix 3.10 on the filter is told no address of a client that came through a socket (the service "inject"), as
-- only programs of this machine can. Without one nothing would be signed, and replies of our users taken for forgeries.
rspamd_config:register_symbol({
  name = 'SOCKET_CLIENT',
  type = 'prefilter',
  priority = 10,
  flags = 'empty,nostat',
  callback = function(task)
    local ip = task:get_from_ip()
    if not (ip and ip:is_valid()) then
      task:set_from_ip('127.0.0.1')
    end
  end,
})

rspamd_config:register_symbol({
  name = 'IS_LOCALLY_GENERATED',
  type = 'normal',
  flags = 'empty,nostat',
  score = 0.0,
  group = 'antispoof',
  description = 'From somebody who logged in, from a listed network, or from this machine',
  callback = function(task)
    local ip = task:get_from_ip()
    if task:get_user() or (ip and ip:is_valid() and ip:is_local()) then
      return true, 1.0
    end
    return false
  end,
})

rspamd_config:register_symbol({
  name = 'LOCAL_FROM_PROVEN',
  type = 'normal',
  flags = 'empty,nostat',
  score = 0.0,
  group = 'antispoof',
  description = 'SPF or DKIM of the domain in the header From passed',
  callback = function(task)
    local from = header_from_domain(task)
    if task:has_symbol('R_SPF_ALLOW') then
      local envelope = task:get_from('smtp')
      if envelope and envelope[1] and aligned(lower(envelope[1].domain), from) then
        return true, 1.0, 'spf'
      end
    end
    local dkim = task:get_symbol('R_DKIM_ALLOW')
    for _, option in ipairs(dkim and dkim[1].options or {}) do
      if aligned(lower(option:match('^([^:]+)')), from) then
        return true, 1.0, 'dkim'
      end
    end
    return false
  end,
})

rspamd_config:register_symbol({
  name = 'ANTISPOOF_UNKNOWN',
  type = 'normal',
  flags = 'empty,nostat',
  score = 0.0,
  group = 'antispoof',
  description = 'SPF, DKIM or DMARC could not be looked up',
  callback = function(task)
    for _, symbol in ipairs({'R_SPF_DNSFAIL', 'R_DKIM_TEMPFAIL', 'DMARC_DNSFAIL'}) do
      if task:has_symbol(symbol) then
        return true, 1.0, symbol
      end
    end
    return false
  end,
})

for _, id in ipairs({'LOCAL_FROM_PROVEN', 'ANTISPOOF_UNKNOWN'}) do
  rspamd_config:register_dependency(id, 'SPF_CHECK')
  rspamd_config:register_dependency(id, 'DKIM_CHECK')
  rspamd_config:register_dependency(id, 'DMARC_CHECK')
end

dofile(rspamd_paths['LOCAL_CONFDIR'] .. '/signing_keys.lua')
dofile(rspamd_paths['LOCAL_CONFDIR'] .. '/sender_lists.lua')
