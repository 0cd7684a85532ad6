# root:root 0644
<?php
return include '/etc/roundcube/mimetypes.php';
