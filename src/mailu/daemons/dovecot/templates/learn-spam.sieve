# Somebody put this message into Junk.
require ["copy", "vnd.dovecot.pipe"];

pipe :copy :try "learn" ["spam"];
