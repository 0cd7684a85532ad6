define('INSTALL_PATH', '/var/lib/roundcube/');
require INSTALL_PATH . 'program/include/iniset.php';
$db = rcube_db::factory(rcube::get_instance()->config->get('db_dsnw'));
$db->db_connect('w');
if (!$db->is_connected()) {
    fwrite(STDERR, 'no connection: ' . $db->is_error() . "\n");
    exit(1);
}
if (!in_array($db->table_name('users'), $db->list_tables())) {
    $kind = ['postgres' => 'postgres', 'mysql' => 'mysql'][$db->db_provider] ?? 'mysql';
    if (!$db->exec_script(file_get_contents('/usr/share/roundcube/SQL/' . $kind . '.initial.sql'))) {
        fwrite(STDERR, 'the tables could not be made: ' . $db->is_error() . "\n");
        exit(1);
    }
}
