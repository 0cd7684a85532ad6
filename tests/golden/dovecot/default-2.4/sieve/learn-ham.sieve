# root:root 0644
# Somebody took this message out of Junk. Throwing it away, or putting it back, says nothing.
require ["copy", "environment", "imapsieve", "vnd.dovecot.pipe"];

if environment :is "imap.mailbox" ["Trash", "Junk"] {
  stop;
}
pipe :copy :try "learn" ["ham"];
