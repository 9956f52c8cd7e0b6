/* What `uniform` and `records` do by whole columns, in one pass over the bytes: see `_uniform.pyi`.
 *
 * All of it is optional, and gives what the Python code beside it gives. No more than the buffers that are handed in is
 * read or written, whatever stands in them: what they hold is traffic.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Of a string: which letters follow a backslash, and whether anything is beyond ASCII. */
enum { QUOTE = 1, LINE_FEED = 2, RETURN = 4, TAB = 8, ESCAPES = 15, BEYOND_ASCII = 16 };

static unsigned flag_of(uint8_t letter)
{
    switch (letter) {
    case '"': return QUOTE;
    case 'n': return LINE_FEED;
    case 'r': return RETURN;
    case 't': return TAB;
    default: return 0;
    }
}

/* Where the unescaped quotation mark stands that ends a string; -1 if a control character, another escape or the end
 * comes first. */
static Py_ssize_t string_end(const uint8_t *text, Py_ssize_t at, Py_ssize_t end, unsigned *flags)
{
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), control = _mm_set1_epi8(31);
    const __m128i feed = _mm_set1_epi8('n'), carriage = _mm_set1_epi8('r'), tab = _mm_set1_epi8('t');
    unsigned carried = 0; /* whether the byte before is a backslash */
    for (; end - at >= 16; at += 16) {
        const __m128i here = _mm_loadu_si128((const __m128i *)(text + at));
        const unsigned quotes = _mm_movemask_epi8(_mm_cmpeq_epi8(here, quote));
        const unsigned backslashes = _mm_movemask_epi8(_mm_cmpeq_epi8(here, backslash));
        const unsigned controls = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(here, control), control));
        const unsigned escaped = (backslashes << 1 | carried) & 0xffff;
        const unsigned closing = quotes & ~escaped;
        const unsigned inside = closing ? (closing & -closing) - 1 : 0xffff;
        if (escaped & inside) {
            const unsigned f = _mm_movemask_epi8(_mm_cmpeq_epi8(here, feed));
            const unsigned r = _mm_movemask_epi8(_mm_cmpeq_epi8(here, carriage));
            const unsigned t = _mm_movemask_epi8(_mm_cmpeq_epi8(here, tab));
            const unsigned letters = escaped & inside;
            /* This also refuses an escaped backslash, behind which `escaped` would not be right. */
            if (letters & ~(quotes | f | r | t))
                return -1;
            *flags |= (letters & quotes ? QUOTE : 0) | (letters & f ? LINE_FEED : 0) | (letters & r ? RETURN : 0)
                | (letters & t ? TAB : 0);
        }
        if (controls & inside)
            return -1;
        if ((unsigned)_mm_movemask_epi8(here) & inside)
            *flags |= BEYOND_ASCII;
        if (closing)
            return at + __builtin_ctz(closing);
        carried = backslashes >> 15 & 1;
    }
    at -= carried;
#endif
    for (; at < end; at++) {
        const uint8_t byte = text[at];
        if (byte == '"')
            return at;
        if (byte < 32)
            return -1;
        if (byte > 127)
            *flags |= BEYOND_ASCII;
        if (byte == '\\') {
            const unsigned flag = end - at > 1 ? flag_of(text[++at]) : 0;
            if (!flag)
                return -1;
            *flags |= flag;
        }
    }
    return -1;
}

enum { TIME_WIDTH = 20 };

/* A figure of so many digits, with its width in `form`; -1 if anything else stands there. */
static int figure(const uint8_t *text, int width)
{
    int found = 0;
    for (int at = 0; at < width; at++) {
        if (text[at] < '0' || text[at] > '9')
            return -1;
        found = found * 10 + (text[at] - '0');
    }
    return found;
}

/* Microseconds since 1970 of a time such as 2026-03-01T10:00:00Z; whether it is one. */
static int instant(const uint8_t *text, int64_t *found)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const int year = figure(text, 4), month = figure(text + 5, 2), day = figure(text + 8, 2);
    const int hour = figure(text + 11, 2), minute = figure(text + 14, 2), second = figure(text + 17, 2);
    if (text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':' || text[19] != 'Z')
        return 0;
    if (year < 1 || month < 1 || month > 12 || day < 1)
        return 0;
    const int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day > month_days[month - 1] + (leap && month == 2))
        return 0;
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
        return 0;
    /* Days since 1970 of a year that begins in March: http://howardhinnant.github.io/date_algorithms.html */
    const int64_t from_march = month > 2 ? year : year - 1;
    const int64_t era = from_march / 400, of_era = from_march % 400;
    const int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    const int64_t days = era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
    *found = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000000;
    return 1;
}

typedef struct {
    const uint8_t *content;
    Py_ssize_t length;
    const uint8_t *constants;
    const int32_t *sizes;
    const char *kinds;
    Py_ssize_t holes;
    int64_t *begins, *times, *edges;
    Py_ssize_t most;
} Scan;

/* How many lines there are; -1 if not all of them have the shape. */
static Py_ssize_t scan_lines(const Scan *asked, unsigned *flags)
{
    const uint8_t *content = asked->content;
    const Py_ssize_t length = asked->length, most = asked->most;
    Py_ssize_t at = 0, line = 0;
    for (; at < length; line++) {
        if (line == most)
            return -1;
        asked->begins[line] = at;
        const uint8_t *constant = asked->constants;
        for (Py_ssize_t hole = 0;; hole++) {
            const Py_ssize_t size = asked->sizes[hole];
            if (length - at < size || memcmp(content + at, constant, size))
                return -1;
            at += size;
            constant += size;
            if (hole == asked->holes)
                break;
            unsigned here = 0;
            const Py_ssize_t end = string_end(content, at, length, &here);
            if (end < 0)
                return -1;
            const char kind = asked->kinds[hole];
            if (kind == 'i' && (end == at || here & ESCAPES))
                return -1;
            if (kind == 't' && (end - at != TIME_WIDTH || !instant(content + at, asked->times + line)))
                return -1;
            asked->edges[2 * hole * most + line] = at;
            asked->edges[(2 * hole + 1) * most + line] = end;
            *flags |= here;
            at = end;
        }
        if (at < length && content[at++] != '\n')
            return -1;
    }
    return line;
}

static PyObject *scan(PyObject *module, PyObject *args)
{
    Py_buffer content, constants, sizes, begins, times, edges;
    Scan asked;
    unsigned flags = 0;
    Py_ssize_t lines = 0;
    if (!PyArg_ParseTuple(args, "y*y*y*y#w*w*w*:scan", &content, &constants, &sizes, &asked.kinds, &asked.holes,
                          &begins, &times, &edges))
        return NULL;
    asked.content = content.buf;
    asked.length = content.len;
    asked.constants = constants.buf;
    asked.sizes = sizes.buf;
    asked.begins = begins.buf;
    asked.times = times.buf;
    asked.edges = edges.buf;
    asked.most = begins.len / (Py_ssize_t)sizeof(int64_t);
    int good = sizes.len == (asked.holes + 1) * (Py_ssize_t)sizeof(int32_t) && times.len == begins.len
        && edges.len == 2 * asked.holes * asked.most * (Py_ssize_t)sizeof(int64_t);
    Py_ssize_t total = 0;
    for (Py_ssize_t number = 0; good && number <= asked.holes; number++) {
        good = asked.sizes[number] > 0;
        total += asked.sizes[number];
    }
    good = good && total == constants.len;
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        lines = scan_lines(&asked, &flags);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&content);
    PyBuffer_Release(&constants);
    PyBuffer_Release(&sizes);
    PyBuffer_Release(&begins);
    PyBuffer_Release(&times);
    PyBuffer_Release(&edges);
    if (!good) {
        PyErr_SetString(PyExc_ValueError, "sizes that do not belong together");
        return NULL;
    }
    return Py_BuildValue("nI", lines, flags);
}

static int64_t total_within(const int64_t *starts, const int64_t *ends, Py_ssize_t count, Py_ssize_t length)
{
    int64_t total = 0;
    for (Py_ssize_t number = 0; number < count; number++) {
        if (starts[number] < 0 || ends[number] < starts[number] || ends[number] > length)
            return -1;
        total += ends[number] - starts[number];
    }
    return total;
}

enum { TOGETHER = 4 };

static const uint64_t FACTOR = 0xd6e8feb86659fd93u;

/* What is left of DuckDB's hash of a text, of which so much is left. */
static uint64_t digested(uint64_t found, const uint8_t *text, Py_ssize_t length)
{
    uint64_t word;
    for (; length >= 8; text += 8, length -= 8) {
        memcpy(&word, text, 8);
        found = (found ^ word) * FACTOR;
    }
    if (length) {
        word = 0;
        memcpy(&word, text, length);
        found = (found ^ word) * FACTOR;
    }
    found = (found ^ found >> 32) * FACTOR;
    found = (found ^ found >> 32) * FACTOR;
    return found ^ found >> 32;
}

/* DuckDB's hash of some texts. Each word waits for the product before, so several texts go side by side. */
static void digest_together(const uint8_t *text, const int64_t *from, const int64_t *to, int count, uint64_t *into)
{
    uint64_t found[TOGETHER], word;
    int64_t common = INT64_MAX;
    for (int number = 0; number < count; number++) {
        const int64_t length = to[number] - from[number];
        found[number] = 0xe17a1465u ^ (uint64_t)length * 0xc6a4a7935bd1e995u;
        common = length < common ? length : common;
    }
    common &= ~(int64_t)7;
    if (count == TOGETHER)
        for (int64_t at = 0; at < common; at += 8)
            for (int number = 0; number < TOGETHER; number++) {
                memcpy(&word, text + from[number] + at, 8);
                found[number] = (found[number] ^ word) * FACTOR;
            }
    else
        common = 0;
    for (int number = 0; number < count; number++) {
        const int64_t start = from[number] + common;
        into[number] = digested(found[number], text + start, to[number] - start);
    }
}

static PyObject *digests(PyObject *module, PyObject *args)
{
    Py_buffer content, starts, ends, found;
    int good = 0;
    if (!PyArg_ParseTuple(args, "y*y*y*w*:digests", &content, &starts, &ends, &found))
        return NULL;
    if (starts.len == ends.len && starts.len == found.len) {
        const uint8_t *text = content.buf;
        const int64_t *from = starts.buf, *to = ends.buf;
        uint64_t *into = found.buf;
        const Py_ssize_t count = starts.len / (Py_ssize_t)sizeof(int64_t);
        Py_BEGIN_ALLOW_THREADS
        good = total_within(from, to, count, content.len) >= 0;
        for (Py_ssize_t number = 0; good && number < count; number += TOGETHER) {
            const int here = count - number < TOGETHER ? (int)(count - number) : TOGETHER;
            digest_together(text, from + number, to + number, here, into + number);
        }
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&content);
    PyBuffer_Release(&starts);
    PyBuffer_Release(&ends);
    PyBuffer_Release(&found);
    if (!good) {
        PyErr_SetString(PyExc_ValueError, "parts that are not within the content");
        return NULL;
    }
    Py_RETURN_NONE;
}

/* A text without its escapes; how long it is. */
static Py_ssize_t unescaped(const uint8_t *text, Py_ssize_t length, uint8_t *into)
{
    uint8_t *const first = into;
    for (;;) {
        const uint8_t *backslash = length ? memchr(text, '\\', length) : NULL;
        const Py_ssize_t before = backslash ? backslash - text : length;
        memcpy(into, text, before);
        into += before;
        if (!backslash || length - before < 2)
            return into - first;
        switch (backslash[1]) {
        case 'n': *into++ = '\n'; break;
        case 'r': *into++ = '\r'; break;
        case 't': *into++ = '\t'; break;
        default: *into++ = backslash[1];
        }
        text = backslash + 2;
        length -= before + 2;
    }
}

static PyObject *texts(PyObject *module, PyObject *args)
{
    Py_buffer content, starts, ends, offsets, found;
    int escaped, good = 0;
    Py_ssize_t size = 0;
    if (!PyArg_ParseTuple(args, "y*y*y*w*w*p:texts", &content, &starts, &ends, &offsets, &found, &escaped))
        return NULL;
    if (starts.len == ends.len && starts.len + (Py_ssize_t)sizeof(int64_t) == offsets.len) {
        const uint8_t *text = content.buf;
        const int64_t *from = starts.buf, *to = ends.buf;
        uint8_t *into = found.buf;
        int64_t *edges = offsets.buf;
        const Py_ssize_t count = starts.len / (Py_ssize_t)sizeof(int64_t);
        Py_BEGIN_ALLOW_THREADS
        const int64_t total = total_within(from, to, count, content.len);
        good = total >= 0 && total <= found.len;
        if (good)
            edges[0] = 0;
        for (Py_ssize_t number = 0; good && number < count; number++) {
            const Py_ssize_t length = to[number] - from[number];
            if (escaped)
                size += unescaped(text + from[number], length, into + size);
            else {
                memcpy(into + size, text + from[number], length);
                size += length;
            }
            edges[number + 1] = size;
        }
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&content);
    PyBuffer_Release(&starts);
    PyBuffer_Release(&ends);
    PyBuffer_Release(&offsets);
    PyBuffer_Release(&found);
    if (!good) {
        PyErr_SetString(PyExc_ValueError, "parts that are not within the content, or no room for them");
        return NULL;
    }
    return PyLong_FromSsize_t(size);
}

static PyMethodDef methods[] = {
    {"scan", scan, METH_VARARGS, NULL},
    {"digests", digests, METH_VARARGS, NULL},
    {"texts", texts, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_uniform", NULL, 0, methods, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__uniform(void)
{
    return PyModuleDef_Init(&definition);
}
