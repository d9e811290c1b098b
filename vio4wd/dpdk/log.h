/* DPDK's log, kept for error messages.
 *
 * DPDK returns "-1" or EINVAL and writes the reason to its log. The log goes through this stream: on to
 * standard error as always, and the text since the last mark is kept, so that the exception can name the
 * reason. The stream's own lock (stdio) serialises writers.
 */
#ifndef VIO4WD_LOG_H
#define VIO4WD_LOG_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_log.h>

#define LOG_KEPT 4096

static char log_text[LOG_KEPT];
static size_t log_used;
static FILE *log_stream;
static int log_is_quiet;

static ssize_t log_write(void *cookie, const char *text, size_t size)
{
	size_t room = LOG_KEPT - 1 - log_used;
	size_t kept = size < room ? size : room; /* the first lines name the cause, later ones repeat it */

	(void)cookie;
	memcpy(log_text + log_used, text, kept);
	log_used += kept;
	log_text[log_used] = '\0';
	if (log_is_quiet)
		return (ssize_t)size;
	if (write(STDERR_FILENO, text, size) < 0) {
		/* nobody reads: there is no better place to say so */
	}
	return (ssize_t)size;
}

/* Send DPDK's log through this stream. 0, or -1 without memory. */
static int vio_log_open(void)
{
	cookie_io_functions_t functions = {.write = log_write};

	if (log_stream == NULL)
		log_stream = fopencookie(NULL, "w", functions);
	return log_stream == NULL ? -1 : rte_openlog_stream(log_stream);
}

/* Forget what was logged so far. */
static void vio_log_mark(void)
{
	if (log_stream == NULL)
		return;
	flockfile(log_stream);
	log_used = 0;
	log_text[0] = '\0';
	funlockfile(log_stream);
}

/* Keep what is logged from here on to ourselves, or no longer. */
static void vio_log_quiet(int quiet)
{
	log_is_quiet = quiet;
}

/* Copy what was logged since the mark, at most size - 1 bytes. */
static void vio_log_since_mark(char *text, size_t size)
{
	text[0] = '\0';
	if (log_stream == NULL)
		return;
	flockfile(log_stream);
	snprintf(text, size, "%s", log_text);
	funlockfile(log_stream);
}

#endif
