/* The true time of day plus the seconds in a file, for whoever loads this; see jumping_clock.py. Needs no header. */
struct timespec { long seconds, nanoseconds; };
struct timeval { long seconds, microseconds; };
extern long syscall(long number, ...);
extern int open(const char *path, int flags, ...);
extern long read(int descriptor, void *buffer, unsigned long size);
extern int close(int descriptor);
extern char *getenv(const char *name);
extern long strtol(const char *text, char **end, int base);
extern int *__errno_location(void);

#ifdef __aarch64__
#define CLOCK_GETTIME 113
#else
#define CLOCK_GETTIME 228
#endif

static long offset(void)
{
    static char path[256];
    char text[32] = { 0 };
    int before = *__errno_location();
    long seconds = 0;
    if (!path[0]) {
        const char *given = getenv("CLOCK_OFFSET_FILE");
        for (int i = 0; given && given[i] && i < 255; i++)
            path[i] = given[i];
    }
    int file = path[0] ? open(path, 02000000) : -1;
    if (file >= 0) {
        if (read(file, text, sizeof text - 1) > 0)
            seconds = strtol(text, 0, 10);
        close(file);
    }
    *__errno_location() = before;
    return seconds;
}

/* 0 is CLOCK_REALTIME, 5 is CLOCK_REALTIME_COARSE. */
int clock_gettime(int clock, struct timespec *now)
{
    int failed = (int) syscall(CLOCK_GETTIME, clock, now);
    if (!failed && (clock == 0 || clock == 5))
        now->seconds += offset();
    return failed;
}

int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec exact;
    (void) zone;
    clock_gettime(0, &exact);
    now->seconds = exact.seconds;
    now->microseconds = exact.nanoseconds / 1000;
    return 0;
}

long time(long *now)
{
    struct timespec exact;
    clock_gettime(0, &exact);
    if (now)
        *now = exact.seconds;
    return exact.seconds;
}
