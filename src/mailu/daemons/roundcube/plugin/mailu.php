<?php

/**
 * Who has signed on is logged in.
 *
 * nginx says who that is with every request (MAILU_USER, MAILU_TOKEN; a client's headers cannot become variables of
 * these names). The token opens the mail server for as long as the session of the sign-on lasts; it is never stored
 * here. Nothing is redirected back to the sign-on: where the mail server does not let in, a page says so.
 */
class mailu extends rcube_plugin
{
    /** A login that is not there so soon after it was made cannot be kept: trying again would never end. */
    const LOOP_SECONDS = 15;

    private $rcmail;
    private $user = '';
    private $token = '';

    public function init()
    {
        $this->rcmail = rcmail::get_instance();
        $this->user = mb_strtolower(trim($_SERVER['MAILU_USER'] ?? ''));
        $this->token = (string) ($_SERVER['MAILU_TOKEN'] ?? '');
        unset($_SERVER['MAILU_TOKEN']);
        $this->add_texts('localization/');
        $this->add_hook('startup', [$this, 'startup']);
        $this->add_hook('authenticate', [$this, 'authenticate']);
        $this->add_hook('login_after', [$this, 'login_after']);
        $this->add_hook('login_failed', [$this, 'login_failed']);
        $this->add_hook('logout_after', [$this, 'logout_after']);
        $this->add_hook('settings_actions', [$this, 'settings_actions']);
        $this->register_action('plugin.mailu-password', [$this, 'password']);
        $this->rcmail->add_shutdown_function([self::class, 'forget_token']);
        $this->add_account_button();
    }

    /** Log in, or see to it that the session is that of whoever has signed on. */
    public function startup($args)
    {
        if ($this->user === '' || $this->token === '') {
            $this->page('nobody', 403);
        }
        if (!empty($_SESSION['user_id']) && mb_strtolower($_SESSION['username']) !== rcube_utils::idn_to_ascii($this->user)) {
            $this->rcmail->kill_session();
        }
        if (!empty($_SESSION['user_id'])) {
            $_SESSION['password'] = $this->rcmail->encrypt($this->token);
            // The port may have changed since the session began.
            list($host, $scheme, $port) = rcube_utils::parse_host_uri($this->rcmail->config->get('imap_host'), 143, 993);
            $_SESSION['storage_host'] = $host;
            $_SESSION['storage_port'] = $port;
            $_SESSION['storage_ssl'] = in_array($scheme, ['ssl', 'imaps', 'tls']) ? $scheme : false;
            return $args;
        }
        if ($args['task'] === 'logout') {
            $this->leave($this->rcmail->config->get('mailu_logout_url'));
        }
        if (abs(time() - (int) rcube_utils::get_input_string('_entered', rcube_utils::INPUT_GET)) < self::LOOP_SECONDS) {
            $this->page('forgotten', 503);
        }
        $args['task'] = 'login';
        $args['action'] = 'login';
        return $args;
    }

    public function authenticate($args)
    {
        $args['user'] = $this->user;
        $args['pass'] = $this->token;
        $args['host'] = $this->rcmail->config->get('imap_host');
        $args['cookiecheck'] = false;
        $args['valid'] = true;
        $this->take_over_user();
        return $args;
    }

    /** Go where the first request wanted to go. */
    public function login_after($args)
    {
        parse_str($_SERVER['QUERY_STRING'] ?? '', $query);
        if (in_array($query['_task'] ?? 'mail', ['login', 'logout'], true)) {
            $query = [];
        }
        unset($query['_err'], $query['_token']);
        return $query + ['_task' => 'mail', '_entered' => time()];
    }

    public function login_failed($args)
    {
        $refused = strpos((string) $this->rcmail->get_storage()->get_error_str(), 'AUTHENTICATIONFAILED') !== false;
        $this->rcmail->kill_session();
        $this->page($refused ? 'refused' : 'away', $refused ? 403 : 503);
    }

    public function logout_after($args)
    {
        $this->leave($this->rcmail->config->get('mailu_logout_url'));
    }

    public function settings_actions($args)
    {
        if ($this->rcmail->config->get('mailu_password_url')) {
            $args['actions'][] = [
                'action' => 'plugin.mailu-password',
                'class' => 'password',
                'label' => 'password',
                'title' => 'password',
                'domain' => 'mailu',
            ];
        }
        return $args;
    }

    public function password()
    {
        $this->leave($this->rcmail->config->get('mailu_password_url'));
    }

    /** The token is not written to the database, not even encrypted. */
    public static function forget_token()
    {
        rcmail::get_instance()->session->remove('password');
    }

    private function add_account_button()
    {
        $url = $this->rcmail->config->get('mailu_admin_url');
        if (!$url || $this->rcmail->output->type !== 'html' || $this->rcmail->output->get_env('framed')) {
            return;
        }
        $this->add_button([
            'type' => 'link',
            'href' => $url,
            'label' => 'mailu.account',
            'title' => 'mailu.account',
            'class' => 'button-mailu settings',
            'classsel' => 'button-mailu settings selected',
            'innerclass' => 'button-inner inner',
        ], 'taskbar');
    }

    /** Settings and contacts belong to a user and a mail server; the server has had other names before. */
    private function take_over_user()
    {
        list($host) = rcube_utils::parse_host_uri($this->rcmail->config->get('imap_host'), 143, 993);
        $name = rcube_utils::idn_to_ascii($this->user);
        $db = $this->rcmail->get_dbh();
        $users = $db->table_name('users', true);
        $found = $db->query("SELECT `user_id`, `mail_host` FROM $users WHERE `username` = ? ORDER BY `last_login` DESC", $name);
        $before = null;
        while ($found && ($row = $db->fetch_assoc($found))) {
            if ($row['mail_host'] === $host) {
                return;
            }
            $before = $before ?? $row['user_id'];
        }
        if ($before !== null) {
            $db->query("UPDATE $users SET `mail_host` = ? WHERE `user_id` = ?", $host, $before);
        }
    }

    private function leave($url)
    {
        if (!empty($_REQUEST['_remote'])) {
            $this->rcmail->output->command('redirect', $url);
            $this->rcmail->output->send();
        }
        header('Location: ' . $url, true, 303);
        exit;
    }

    /** End here, with a page that says what is the matter and what to do. */
    private function page($what, $status)
    {
        http_response_code($status);
        header('Content-Type: text/html; charset=UTF-8');
        header('Cache-Control: no-store');
        header("Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'");
        if ($status === 503) {
            header('Retry-After: 30');
        }
        $say = function ($name) {
            return htmlspecialchars($this->gettext($name), ENT_QUOTES, 'UTF-8');
        };
        $product = htmlspecialchars((string) $this->rcmail->config->get('product_name'), ENT_QUOTES, 'UTF-8');
        $out = htmlspecialchars((string) $this->rcmail->config->get('mailu_logout_url'), ENT_QUOTES, 'UTF-8');
        $language = htmlspecialchars(strtr(substr((string) $_SESSION['language'] ?: 'en', 0, 5), '_', '-'), ENT_QUOTES);
        echo <<<PAGE
<!DOCTYPE html>
<html lang="{$language}"><head><meta charset="utf-8"><title>{$say($what . '_title')} · {$product}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem}
h1{font-size:1.4rem}a{margin-right:1.5rem}</style></head>
<body><main><h1>{$say($what . '_title')}</h1><p>{$say($what . '_text')}</p>
<p><a href="./">{$say('again')}</a> <a href="{$out}">{$say('sign_out')}</a></p></main></body></html>

PAGE;
        exit;
    }
}
