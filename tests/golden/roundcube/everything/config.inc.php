# root:mailu-webmail 0640
<?php
// Roundcube of Mailu. Generated from the settings: what you write here is lost.
// Your own lines belong into overrides/roundcube/*.inc.php below the state root; they are read last and win.

$config = [];

// Database, temporary files, log
$config['db_dsnw'] = 'pgsql://rc:p%40ss%27w@db.example.org:5433/rc';
$config['db_prefix'] = '';
$config['temp_dir'] = '/mailu/run/webmail/tmp';
$config['log_driver'] = 'stdout';
$config['log_dir'] = '/mailu/run/webmail/tmp';
$config['log_date_format'] = '';
$config['enable_installer'] = false;

// The mail server. Users come with the name and the token that the sign-on gave them (plug-in mailu); these listeners
// take nothing else.
$config['imap_host'] = '127.0.0.1:21003';
$config['smtp_host'] = '127.0.0.1:21005';
$config['smtp_user'] = '%u';
$config['smtp_pass'] = '%p';
$config['smtp_helo_host'] = 'mail.example.org';
$config['managesieve_host'] = '127.0.0.1:21004';
$config['managesieve_vacation'] = 0;
// Seconds until a server that hangs counts as one that is down.
$config['imap_timeout'] = 30;
$config['smtp_timeout'] = 60;
// A token cannot be guessed, and a store that was away must not lock anybody out afterwards.
$config['login_rate_limit'] = 0;

// Sessions
$config['des_key'] = '035ec4157a5029268861548d976dbeeef170acd2f5199260e33dd92739083553';
$config['cipher_method'] = 'AES-256-CBC';
$config['session_lifetime'] = 43200;
$config['session_samesite'] = 'Lax';
$config['session_path'] = '/';
$config['use_https'] = true;
$config['trusted_host_patterns'] = ['^mail\\.example\\.org$', '^mx\\.example\\.org$'];
$config['x_frame_options'] = 'sameorigin';

// Mail
$config['max_message_size'] = 100000000;
$config['sent_mbox'] = 'Sent';
$config['drafts_mbox'] = 'Drafts';
$config['trash_mbox'] = 'Trash';
$config['junk_mbox'] = 'Junk';
$config['archive_mbox'] = 'Archive';
$config['create_default_folders'] = false;
$config['lock_special_folders'] = true;
$config['quota_zero_as_unlimited'] = true;

// Looks
$config['product_name'] = 'Bob\'s \\ mail Webmail';
$config['support_url'] = 'https://example.org/help';
$config['skin'] = 'elastic';
$config['skin_logo'] = ['*' => '/static/logo.png'];
$config['language'] = null;
$config['htmleditor'] = 0;
$config['enable_spellcheck'] = true;
$config['spellcheck_engine'] = 'pspell';
$config['spellcheck_languages'] = ['en' => 'English'];

// Plug-ins
$config['plugins'] = ['mailu', 'archive', 'managesieve'];
$config['mailu_admin_url'] = '/admin/';
$config['mailu_password_url'] = '/admin/user/password';
$config['mailu_logout_url'] = '/sso/logout';

// overrides/roundcube/colours.inc.php
include '/mailu/run/webmail/etc/overrides/colours.inc.php';

// overrides/roundcube/old.inc
include '/mailu/run/webmail/etc/overrides/old.inc';
