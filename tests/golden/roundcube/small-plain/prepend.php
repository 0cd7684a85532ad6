# root:root 0644
<?php
// Read before every script of the webmail (auto_prepend_file). Generated.
define('RCUBE_PLUGINS_DIR', '/mailu/run/webmail/etc/plugins/');
