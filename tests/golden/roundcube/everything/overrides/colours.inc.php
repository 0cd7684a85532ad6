# root:mailu-webmail 0640
<?php
$config['x'] = 1;
