# root:root 0644
# Runs before a person's own script, for every message that is delivered. The same for everybody: what differs is read
# from the environment, where the directory's answer put it (servers/mailboxes.py).
require ["editheader", "environment", "fileinto", "imap4flags", "index", "mailbox", "vacation", "variables",
         "vnd.dovecot.environment"];

# Mail for an alias says in Delivered-To which one: the line above ours is Postfix's, and names the address that the
# sender gave, when the sender gave one only. People's scripts can sort by it.
if header :index 2 :matches "Received" "from * by * for <*>; *" {
  set "recipient" "${3}";
  if not header :is "Delivered-To" "${recipient}" {
    deleteheader "Delivered-To";
    addheader "Delivered-To" "${recipient}";
  }
}

# Recipients of one message disagree about its sender (docs/senders.md): the filter has written down who wants it. No
# stranger's header of this name gets here, and only this server can make the words.
if exists "X-Mailu-Sender-Lists" {
  if allof (not string :is "${env.vnd.dovecot.config.allow_mark}" "",
            header :contains "X-Mailu-Sender-Lists" "${env.vnd.dovecot.config.allow_mark}") {
    set "listed" "allow";
  } elsif allof (not string :is "${env.vnd.dovecot.config.deny_mark}" "",
                 header :contains "X-Mailu-Sender-Lists" "${env.vnd.dovecot.config.deny_mark}") {
    set "listed" "deny";
  }
  deleteheader "X-Mailu-Sender-Lists";
}
if string :is "${listed}" "deny" {
  fileinto :create "Junk";
  stop;
}

# More points than are tolerated. The pattern is so many stars and anything after them; without one nothing is filed.
if allof (not string :is "${listed}" "allow",
          not string :is "${env.vnd.dovecot.config.spam_level}" "",
          header :matches "X-Spam-Level" "${env.vnd.dovecot.config.spam_level}") {
  if environment :is "vnd.dovecot.config.spam_mark_as_read" "yes" {
    setflag "\\Seen";
  }
  fileinto :create "Junk";
  stop;
}

# The automatic reply, within its dates, once a day to each sender; not to machines. An empty subject becomes "Auto: "
# and the subject of the message.
if allof (environment :is "vnd.dovecot.config.reply" "yes",
          not address :localpart :contains ["From", "Reply-To"] ["noreply", "no-reply"]) {
  if string :is "${env.vnd.dovecot.config.reply_subject}" "" {
    vacation :days 1 :from "${env.vnd.dovecot.config.reply_from}" "${env.vnd.dovecot.config.reply_body}";
  } else {
    vacation :days 1 :from "${env.vnd.dovecot.config.reply_from}" :subject "${env.vnd.dovecot.config.reply_subject}"
      "${env.vnd.dovecot.config.reply_body}";
  }
}
