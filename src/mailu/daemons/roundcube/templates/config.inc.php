<?php
// Roundcube of Mailu. Generated from the settings: what you write here is lost.
// Your own lines belong into overrides/roundcube/*.inc.php below the state root; they are read last and win.

$config = [];

// Database, temporary files, log
$config['db_dsnw'] = {{ q(dsn) }};
$config['db_prefix'] = '';
$config['temp_dir'] = {{ q(temp) }};
$config['log_driver'] = 'stdout';
$config['log_dir'] = {{ q(temp) }};
$config['log_date_format'] = '';
$config['enable_installer'] = false;

// The mail server. Users come with the name and the token that the sign-on gave them (plug-in mailu); these listeners
// take nothing else.
$config['imap_host'] = {{ q(imap) }};
$config['smtp_host'] = {{ q(smtp) }};
$config['smtp_user'] = '%u';
$config['smtp_pass'] = '%p';
$config['smtp_helo_host'] = {{ q(hostname) }};
$config['managesieve_host'] = {{ q(sieve) }};
$config['managesieve_vacation'] = 0;
{% if scheme %}
// Inside one installation the names of certificates say nothing.
$inside = ['ssl' => ['verify_peer' => false, 'verify_peer_name' => false]];
$config['imap_conn_options'] = $inside;
$config['smtp_conn_options'] = $inside;
$config['managesieve_conn_options'] = $inside;
{% endif %}
// Seconds until a server that hangs counts as one that is down.
$config['imap_timeout'] = 30;
$config['smtp_timeout'] = 60;
// A token cannot be guessed, and a store that was away must not lock anybody out afterwards.
$config['login_rate_limit'] = 0;

// Sessions
$config['des_key'] = {{ q(key) }};
$config['cipher_method'] = 'AES-256-CBC';
$config['session_lifetime'] = {{ session_minutes }};
$config['session_samesite'] = 'Lax';
$config['session_path'] = {{ q(prefix) }};
$config['use_https'] = {{ "true" if secure else "false" }};
$config['trusted_host_patterns'] = [{% for pattern in host_patterns %}{{ q(pattern) }}{{ ", " if not loop.last }}{% endfor %}];
$config['x_frame_options'] = 'sameorigin';

// Mail
$config['max_message_size'] = {{ message_bytes }};
$config['sent_mbox'] = 'Sent';
$config['drafts_mbox'] = 'Drafts';
$config['trash_mbox'] = 'Trash';
$config['junk_mbox'] = 'Junk';
$config['archive_mbox'] = 'Archive';
$config['create_default_folders'] = false;
$config['lock_special_folders'] = true;
$config['quota_zero_as_unlimited'] = true;

// Looks
$config['product_name'] = {{ q(product) }};
$config['support_url'] = {{ q(support_url) }};
$config['skin'] = 'elastic';
{% if logo %}
$config['skin_logo'] = ['*' => {{ q(logo) }}];
{% endif %}
$config['language'] = null;
$config['htmleditor'] = 0;
{% if spelling %}
$config['enable_spellcheck'] = true;
$config['spellcheck_engine'] = 'pspell';
$config['spellcheck_languages'] = [{% for code, name in spelling %}{{ q(code) }} => {{ q(name) }}{{ ", " if not loop.last }}{% endfor %}];
{% else %}
// php-pspell and a dictionary are not installed; browsers check what is typed by themselves.
$config['enable_spellcheck'] = false;
{% endif %}

// Plug-ins
$config['plugins'] = [{% for name in plugins %}{{ q(name) }}{{ ", " if not loop.last }}{% endfor %}];
$config['mailu_admin_url'] = {{ q(admin_url) }};
$config['mailu_password_url'] = {{ q(password_url) }};
$config['mailu_logout_url'] = '/sso/logout';
{% if "enigma" in plugins %}
$config['enigma_pgp_homedir'] = {{ q(keys) }};
{% endif %}
{% for name in overrides %}

// overrides/roundcube/{{ name }}
include {{ q(etc ~ "/overrides/" ~ name) }};
{% endfor %}
