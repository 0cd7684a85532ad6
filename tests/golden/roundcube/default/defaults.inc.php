# root:root 0644
<?php
include '/etc/roundcube/defaults.inc.php';
