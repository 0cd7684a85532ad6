# root:root 0644
# Somebody put this message into Junk.
require ["copy", "vnd.dovecot.pipe"];

pipe :copy :try "learn" ["spam"];
