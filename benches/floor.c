// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The floor under the benchmarks: what the same work costs a program that does nothing else. It asks the kernel as little
// as the interface allows and keeps nothing. It shares no code with what it is compared with. Beside that it makes the
// inputs, and it is the stopwatch.
//
//     floor rules SERVICES SERVERS [changed]  generated rules; `changed`: one server line in a hundred is another
//     floor connections N [sync]              generated lines of /proc/net/ip_vs_conn, or of ip_vs_conn_sync
//     floor encode <RULES >MESSAGES           rules of the generated form as netlink messages
//     floor replay MESSAGES                   send them, 256 at once, and look for errors
//     floor dump [BYTES]                      read the whole table, count it; room for a part of a service's servers
//     floor mix                               the same, servers by getsockopt, with the same checks that ours makes
//     floor swap MESSAGES                     the same, then send these, and read the services again
//     floor add|del|list ADDRESS:PORT         like ipvsadm -A -t, -D -t, -Ln -t
//     floor over FOLDER PLACE COMMAND...      run a command that sees FOLDER in PLACE (a mount of its own)
//     floor race [-i FILE] [-o FILE] N COMMAND... [, COMMAND...]...
//                                             run the commands in turn, N rounds; for each run print which command it
//                                             was, nanoseconds, the peak of resident KiB, and whether it failed
//
// Build: cc -O2 -static -o floor floor.c
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BATCH_MESSAGES = 256, BATCH_BYTES = 64 * 1024, RECEIVE = 32 * 1024 };

// The kernel allocates (and on many kernels clears) as much for each part of a dump as the largest read on the socket so
// far had room for, twice for each dump. With what the kernel adds to a packet, this is a page, which is the least that it
// ever allocates (NLMSG_GOODSIZE): nine servers.
enum { RECEIVE_SERVERS = 4096 - 320 };

static _Noreturn void die(const char *what) {
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

// ---- writing messages -----------------------------------------------------------------------------------------------

struct message {
    struct nlmsghdr header;
    struct genlmsghdr generic;
    char attributes[512];
};

static void begin(struct message *m, uint16_t type, uint16_t flags, uint32_t sequence, uint8_t command) {
    m->header = (struct nlmsghdr){.nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN, .nlmsg_type = type,
                                  .nlmsg_flags = NLM_F_REQUEST | flags, .nlmsg_seq = sequence};
    m->generic = (struct genlmsghdr){.cmd = command, .version = 1};
}

static struct nlattr *put(struct message *m, uint16_t type, const void *data, size_t size) {
    struct nlattr *a = (struct nlattr *)((char *)m + m->header.nlmsg_len);
    a->nla_type = type;
    a->nla_len = (uint16_t)(NLA_HDRLEN + size);
    if (size) {
        memcpy((char *)a + NLA_HDRLEN, data, size);
        memset((char *)a + a->nla_len, 0, NLA_ALIGN(a->nla_len) - a->nla_len);
    }
    m->header.nlmsg_len += NLA_ALIGN(a->nla_len);
    return a;
}

static void put16(struct message *m, uint16_t type, uint16_t value) { put(m, type, &value, sizeof value); }
static void put32(struct message *m, uint16_t type, uint32_t value) { put(m, type, &value, sizeof value); }

static void close_nest(struct message *m, struct nlattr *nest) {
    nest->nla_type |= NLA_F_NESTED;
    nest->nla_len = (uint16_t)((char *)m + m->header.nlmsg_len - (char *)nest);
}

struct endpoint {
    uint32_t address; // both as on the wire
    uint16_t port;
};

static struct endpoint endpoint(const char *text) {
    char address[64];
    unsigned port;
    struct endpoint e;
    if (sscanf(text, "%63[0-9.]:%u", address, &port) != 2 || inet_pton(AF_INET, address, &e.address) != 1) {
        errno = EINVAL;
        die(text);
    }
    e.port = htons((uint16_t)port);
    return e;
}

static void put_address(struct message *m, uint16_t type, uint32_t address) {
    uint32_t wide[4] = {address};
    put(m, type, wide, sizeof wide);
}

// The attributes that name a service, and if there is a scheduler those that make it.
static void put_service(struct message *m, struct endpoint e, const char *scheduler, uint32_t timeout) {
    struct nlattr *nest = put(m, IPVS_CMD_ATTR_SERVICE, NULL, 0);
    put16(m, IPVS_SVC_ATTR_AF, AF_INET);
    put16(m, IPVS_SVC_ATTR_PROTOCOL, IPPROTO_TCP);
    put_address(m, IPVS_SVC_ATTR_ADDR, e.address);
    put16(m, IPVS_SVC_ATTR_PORT, e.port);
    if (scheduler) {
        struct ip_vs_flags flags = {.flags = timeout ? IP_VS_SVC_F_PERSISTENT : 0, .mask = ~0u};
        put(m, IPVS_SVC_ATTR_SCHED_NAME, scheduler, strlen(scheduler) + 1);
        put(m, IPVS_SVC_ATTR_FLAGS, &flags, sizeof flags);
        put32(m, IPVS_SVC_ATTR_TIMEOUT, timeout);
        put32(m, IPVS_SVC_ATTR_NETMASK, ~0u);
    }
    close_nest(m, nest);
}

static void put_destination(struct message *m, struct endpoint e, int full, uint32_t method, uint32_t weight) {
    struct nlattr *nest = put(m, IPVS_CMD_ATTR_DEST, NULL, 0);
    put16(m, IPVS_DEST_ATTR_ADDR_FAMILY, AF_INET);
    put_address(m, IPVS_DEST_ATTR_ADDR, e.address);
    put16(m, IPVS_DEST_ATTR_PORT, e.port);
    if (full) {
        put32(m, IPVS_DEST_ATTR_FWD_METHOD, method);
        put32(m, IPVS_DEST_ATTR_WEIGHT, weight);
        put32(m, IPVS_DEST_ATTR_U_THRESH, 0);
        put32(m, IPVS_DEST_ATTR_L_THRESH, 0);
    }
    close_nest(m, nest);
}

// ---- the socket -----------------------------------------------------------------------------------------------------

static int sock;
static uint16_t family;
static uint32_t sequence;
static char reply[RECEIVE] __attribute__((aligned(8)));
static size_t room = sizeof reply;

static void send_all(const void *bytes, size_t size) {
    if (send(sock, bytes, size, 0) != (ssize_t)size) die("send");
}

static size_t receive(void) {
    ssize_t size = recv(sock, reply, room, MSG_DONTWAIT);
    if (size < 0) die("recv");
    return (size_t)size;
}

static const struct nlattr *attribute(const void *from, size_t size, uint16_t type) {
    const char *at = from, *end = at + size;
    while (at + NLA_HDRLEN <= end) {
        const struct nlattr *a = (const struct nlattr *)at;
        if (a->nla_len < NLA_HDRLEN || at + a->nla_len > end) break;
        if ((a->nla_type & NLA_TYPE_MASK) == type) return a;
        at += NLA_ALIGN(a->nla_len);
    }
    return NULL;
}

static const struct nlattr *inside(const struct nlattr *nest, uint16_t type) {
    const struct nlattr *a = attribute((const char *)nest + NLA_HDRLEN, nest->nla_len - NLA_HDRLEN, type);
    if (!a) { errno = EPROTO; die("an attribute is missing"); }
    return a;
}

static const struct nlattr *top(const struct nlmsghdr *h, uint16_t type) {
    const struct nlattr *a = attribute((const char *)h + NLMSG_HDRLEN + GENL_HDRLEN,
                                       h->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN, type);
    if (!a) { errno = EPROTO; die("an attribute is missing"); }
    return a;
}

static const void *value(const struct nlattr *a) { return (const char *)a + NLA_HDRLEN; }
static uint16_t value16(const struct nlattr *a) { uint16_t v; memcpy(&v, value(a), sizeof v); return v; }
static uint32_t value32(const struct nlattr *a) { uint32_t v; memcpy(&v, value(a), sizeof v); return v; }

// Reads one answer: to its end if it is a dump, else one message. Errors end the program.
static uint64_t answer(int dump, void (*take)(const struct nlmsghdr *, void *), void *with) {
    uint64_t messages = 0;
    for (;;) {
        size_t size = receive();
        for (struct nlmsghdr *h = (struct nlmsghdr *)reply; NLMSG_OK(h, size); h = NLMSG_NEXT(h, size)) {
            if (h->nlmsg_type == NLMSG_DONE) return messages;
            if (h->nlmsg_type == NLMSG_ERROR) {
                errno = -((struct nlmsgerr *)NLMSG_DATA(h))->error;
                if (errno) die("the kernel refuses");
                return messages;
            }
            messages++;
            if (take) take(h, with);
            if (!dump) return messages;
        }
    }
}

static void take_family(const struct nlmsghdr *h, void *with) {
    (void)with;
    family = value16(top(h, CTRL_ATTR_FAMILY_ID));
}

static void open_socket(void) {
    struct message m;
    sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
    if (sock < 0) die("socket");
    begin(&m, GENL_ID_CTRL, 0, ++sequence, CTRL_CMD_GETFAMILY);
    put(&m, CTRL_ATTR_FAMILY_NAME, IPVS_GENL_NAME, sizeof IPVS_GENL_NAME);
    send_all(&m, m.header.nlmsg_len);
    answer(0, take_family, NULL);
}

// ---- the work -------------------------------------------------------------------------------------------------------

static int encode(void) {
    char line[512];
    uint32_t number = 0;
    while (fgets(line, sizeof line, stdin)) {
        char *words[16], *save = NULL;
        int count = 0;
        for (char *w = strtok_r(line, " \n", &save); w && count < 16; w = strtok_r(NULL, " \n", &save)) words[count++] = w;
        if (!count) continue;
        struct endpoint service = {0}, server = {0};
        const char *scheduler = "wlc";
        uint32_t timeout = 0, method = IP_VS_CONN_F_DROUTE, weight = 1;
        for (int i = 1; i < count; i++) {
            char option = words[i][1];
            if (!strcmp(words[i], "--tun-type")) {
                i++; // ipip, which is what there is without it
                continue;
            }
            if (strchr("gmi", option)) {
                method = option == 'g' ? IP_VS_CONN_F_DROUTE : option == 'm' ? IP_VS_CONN_F_MASQ : IP_VS_CONN_F_TUNNEL;
                continue;
            }
            if (++i == count) { errno = EINVAL; die("a word is missing"); }
            switch (option) {
                case 't': service = endpoint(words[i]); break;
                case 'r': server = endpoint(words[i]); break;
                case 's': scheduler = words[i]; break;
                case 'p': timeout = (uint32_t)atoi(words[i]); break;
                case 'w': weight = (uint32_t)atoi(words[i]); break;
                default: errno = EINVAL; die(words[i - 1]);
            }
        }
        static const char commands[] = "AEDaed";
        static const uint8_t numbers[] = {IPVS_CMD_NEW_SERVICE, IPVS_CMD_SET_SERVICE, IPVS_CMD_DEL_SERVICE,
                                          IPVS_CMD_NEW_DEST, IPVS_CMD_SET_DEST, IPVS_CMD_DEL_DEST};
        char command = words[0][1];
        const char *found = command ? strchr(commands, command) : NULL;
        if (!found) { errno = EINVAL; die(words[0]); }
        struct message m;
        begin(&m, 0, 0, number++, numbers[found - commands]);
        put_service(&m, service, strchr("AE", command) ? scheduler : NULL, timeout);
        if (strchr("aed", command)) put_destination(&m, server, command != 'd', method, weight);
        if (fwrite(&m, m.header.nlmsg_len, 1, stdout) != 1) die("write");
    }
    if (fflush(stdout)) die("write");
    return 0;
}

static int replay(const char *path) {
    struct stat status;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &status)) die(path);
    size_t size = (size_t)status.st_size, have = 0;
    char *bytes = malloc(size ? size : 1);
    while (have < size) {
        ssize_t got = read(file, bytes + have, size - have);
        if (got <= 0) die(path);
        have += (size_t)got;
    }
    open_socket();
    int queue = 1024 * 1024, refused = 0;
    setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &queue, sizeof queue);
    for (size_t at = 0; at < size;) {
        size_t start = at;
        struct nlmsghdr *h = NULL;
        for (int count = 0; at < size && count < BATCH_MESSAGES && at - start < BATCH_BYTES; count++) {
            h = (struct nlmsghdr *)(bytes + at);
            h->nlmsg_type = family;
            at += NLMSG_ALIGN(h->nlmsg_len);
        }
        h->nlmsg_flags |= NLM_F_ACK;
        send_all(bytes + start, at - start);
        for (int more = 1; more;) {
            size_t got = receive();
            for (struct nlmsghdr *r = (struct nlmsghdr *)reply; NLMSG_OK(r, got); r = NLMSG_NEXT(r, got)) {
                if (r->nlmsg_type != NLMSG_ERROR) continue;
                int error = -((struct nlmsgerr *)NLMSG_DATA(r))->error;
                if (error && !refused++) fprintf(stderr, "floor: message %u: %s\n", r->nlmsg_seq, strerror(error));
                if (r->nlmsg_seq == h->nlmsg_seq) more = 0;
            }
        }
    }
    return refused != 0;
}

struct keys {
    struct message *list;
    size_t count, room;
};

// Keeps the question for a service's destinations.
static void take_service(const struct nlmsghdr *h, void *with) {
    struct keys *keys = with;
    if (keys->count == keys->room) {
        keys->room = keys->room ? 2 * keys->room : 1024;
        keys->list = realloc(keys->list, keys->room * sizeof *keys->list);
        if (!keys->list) die("memory");
    }
    const struct nlattr *service = top(h, IPVS_CMD_ATTR_SERVICE);
    struct endpoint e = {.port = value16(inside(service, IPVS_SVC_ATTR_PORT))};
    memcpy(&e.address, value(inside(service, IPVS_SVC_ATTR_ADDR)), sizeof e.address);
    struct message *m = &keys->list[keys->count++];
    begin(m, family, NLM_F_DUMP, 0, IPVS_CMD_GET_DEST);
    put_service(m, e, NULL, 0);
}

static int dump(size_t small) {
    struct keys keys = {0};
    struct message m;
    uint64_t servers = 0;
    open_socket();
    begin(&m, family, NLM_F_DUMP, ++sequence, IPVS_CMD_GET_SERVICE);
    send_all(&m, m.header.nlmsg_len);
    answer(1, take_service, &keys);
    // A socket remembers its largest read: this takes another one.
    close(sock);
    room = small < sizeof reply ? small : sizeof reply;
    open_socket();
    for (size_t i = 0; i < keys.count; i++) {
        keys.list[i].header.nlmsg_seq = ++sequence;
        send_all(&keys.list[i], keys.list[i].header.nlmsg_len);
        servers += answer(1, NULL, NULL);
    }
    printf("%zu services, %llu servers\n", keys.count, (unsigned long long)servers);
    return 0;
}

// Services come in several parts, and have to come the same way twice.
static int services(struct keys *keys) {
    struct keys again = {0};
    struct message m;
    open_socket();
    begin(&m, family, NLM_F_DUMP, ++sequence, IPVS_CMD_GET_SERVICE);
    send_all(&m, m.header.nlmsg_len);
    answer(1, take_service, keys);
    m.header.nlmsg_seq = ++sequence;
    send_all(&m, m.header.nlmsg_len);
    answer(1, take_service, &again);
    if (keys->count != again.count) return 3;
    for (size_t i = 0; i < keys->count; i++)
        if (memcmp(&keys->list[i], &again.list[i], keys->list[i].header.nlmsg_len)) return 3;
    return 0;
}

// As many servers as the kernel says before and after must come, and room for one more must stay empty. Of tunnels it does not tell
// all: these services are read over netlink.
static int mix(void) {
    struct keys keys = {0};
    uint64_t servers = 0;
    if (services(&keys)) return 3;
    close(sock);
    room = RECEIVE_SERVERS;
    open_socket();
    int ipv4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (ipv4 < 0) die("socket");
    struct ip_vs_get_dests *get = NULL;
    size_t have = 0;
    for (size_t i = 0; i < keys.count; i++) {
        const struct nlattr *nest = (const struct nlattr *)keys.list[i].attributes;
        struct ip_vs_service_entry before = {.protocol = IPPROTO_TCP, .port = value16(inside(nest, IPVS_SVC_ATTR_PORT))};
        memcpy(&before.addr, value(inside(nest, IPVS_SVC_ATTR_ADDR)), sizeof before.addr);
        struct ip_vs_service_entry after = before;
        socklen_t size = sizeof before;
        if (getsockopt(ipv4, IPPROTO_IP, IP_VS_SO_GET_SERVICE, &before, &size)) die("IP_VS_SO_GET_SERVICE");
        size = sizeof *get + (before.num_dests + 1) * sizeof *get->entrytable;
        if (size > have) get = realloc(get, have = size);
        if (!get) die("memory");
        memset(get, 0, size);
        get->protocol = before.protocol, get->addr = before.addr, get->port = before.port;
        get->num_dests = before.num_dests + 1;
        if (getsockopt(ipv4, IPPROTO_IP, IP_VS_SO_GET_DESTS, get, &size)) die("IP_VS_SO_GET_DESTS");
        unsigned came = 0;
        int all = 1;
        for (; came <= before.num_dests && get->entrytable[came].addr && all; came++)
            all = (get->entrytable[came].conn_flags & IP_VS_CONN_F_FWD_MASK) != IP_VS_CONN_F_TUNNEL;
        if (all) {
            size = sizeof after;
            if (getsockopt(ipv4, IPPROTO_IP, IP_VS_SO_GET_SERVICE, &after, &size)) die("IP_VS_SO_GET_SERVICE");
            all = came == before.num_dests && after.num_dests == came;
        }
        if (all) {
            servers += came;
        } else {
            keys.list[i].header.nlmsg_seq = ++sequence;
            send_all(&keys.list[i], keys.list[i].header.nlmsg_len);
            servers += answer(1, NULL, NULL);
        }
    }
    printf("%zu services, %llu servers\n", keys.count, (unsigned long long)servers);
    return 0;
}

// The table is read, messages that change it are sent, and its services are read again.
static int swap(const char *path) {
    struct keys keys = {0};
    if (mix() || replay(path)) return 3;
    close(sock);
    room = sizeof reply;
    return services(&keys);
}

static int change(uint8_t command, const char *name) {
    struct message m;
    struct endpoint e = endpoint(name);
    open_socket();
    begin(&m, family, NLM_F_ACK, ++sequence, command);
    put_service(&m, e, command == IPVS_CMD_NEW_SERVICE ? "wlc" : NULL, 0);
    send_all(&m, m.header.nlmsg_len);
    answer(0, NULL, NULL);
    return 0;
}

static const char *name_of(const struct nlattr *nest, uint16_t address, uint16_t port) {
    static char text[32];
    const uint8_t *a = value(inside(nest, address));
    snprintf(text, sizeof text, "%u.%u.%u.%u:%u", a[0], a[1], a[2], a[3], ntohs(value16(inside(nest, port))));
    return text;
}

static void print_service(const struct nlmsghdr *h, void *with) {
    (void)with;
    const struct nlattr *service = top(h, IPVS_CMD_ATTR_SERVICE);
    uint32_t flags;
    memcpy(&flags, value(inside(service, IPVS_SVC_ATTR_FLAGS)), sizeof flags);
    printf("TCP  %s %s", name_of(service, IPVS_SVC_ATTR_ADDR, IPVS_SVC_ATTR_PORT),
           (const char *)value(inside(service, IPVS_SVC_ATTR_SCHED_NAME)));
    if (flags & IP_VS_SVC_F_PERSISTENT) printf(" persistent %u", value32(inside(service, IPVS_SVC_ATTR_TIMEOUT)));
    putchar('\n');
}

static void print_destination(const struct nlmsghdr *h, void *with) {
    static const char *const methods[8] = {"Masq", "Local", "Tunnel", "Route", "Bypass", "", "", ""};
    (void)with;
    const struct nlattr *server = top(h, IPVS_CMD_ATTR_DEST);
    printf("  -> %-28s %-7s %-6u %-10u %-10u\n", name_of(server, IPVS_DEST_ATTR_ADDR, IPVS_DEST_ATTR_PORT),
           methods[value32(inside(server, IPVS_DEST_ATTR_FWD_METHOD)) & IP_VS_CONN_F_FWD_MASK],
           value32(inside(server, IPVS_DEST_ATTR_WEIGHT)), value32(inside(server, IPVS_DEST_ATTR_ACTIVE_CONNS)),
           value32(inside(server, IPVS_DEST_ATTR_INACT_CONNS)));
}

static int list(const char *name) {
    struct message m;
    struct endpoint e = endpoint(name);
    open_socket();
    puts("Prot LocalAddress:Port Scheduler Flags\n"
         "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn");
    begin(&m, family, 0, ++sequence, IPVS_CMD_GET_SERVICE);
    put_service(&m, e, NULL, 0);
    send_all(&m, m.header.nlmsg_len);
    answer(0, print_service, NULL);
    begin(&m, family, NLM_F_DUMP, ++sequence, IPVS_CMD_GET_DEST);
    put_service(&m, e, NULL, 0);
    send_all(&m, m.header.nlmsg_len);
    answer(1, print_destination, NULL);
    return 0;
}

// ---- inputs ---------------------------------------------------------------------------------------------------------

// As ipvsadm -Sn writes them, in its order of services.
static int rules(long services, long servers, int changed) {
    static const char *const schedulers[] = {"wlc", "rr", "wrr", "lc", "sh"}, *const methods[] = {"-m", "-g", "-m", "-i"};
    long line = 0;
    for (long s = 0; s < services; s++) {
        char name[32];
        const char *method = methods[s % 4];
        snprintf(name, sizeof name, "10.%ld.%ld.%ld:80", s / 62500, s / 250 % 250, s % 250 + 1);
        printf("-A -t %s -s %s", name, schedulers[s % 5]);
        if (s % 7 == 0) printf(" -p %ld", 300 + s % 100);
        putchar('\n');
        for (long d = 0; d < servers; d++, line++) {
            // Of two hundred lines one has another weight and one another server.
            int weight = changed && line % 200 == 50, other = changed && line % 200 == 150;
            long n = s * servers + d;
            printf("-a -t %s -r %d.%ld.%ld.%ld:%d %s -w %ld%s\n", name, other ? 173 : 172, n / 62500 % 250, n / 250 % 250,
                   n % 250 + 1, method[1] == 'm' ? 8080 : 80, method, 1 + n % 100 + (weight ? 1000 : 0),
                   method[1] == 'i' ? " --tun-type ipip" : "");
        }
    }
    return 0;
}

static int connections(long count, int sync) {
    static const char *const states[] = {"ESTABLISHED", "TIME_WAIT", "FIN_WAIT", "SYN_RECV", "CLOSE"};
    puts(sync ? "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires"
              : "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData");
    for (long n = 0; n < count; n++) {
        printf("%-3s %08lX %04lX %08lX %04X %08lX %04X %-11s %s%7ld\n", n % 11 ? "TCP" : "UDP",
               0x0A000001ul + (unsigned long)n / 16, 1024ul + (unsigned long)n % 60000, 0xC0A80001ul + n % 100, 80,
               0xAC100001ul + n % 500, 8080, n % 11 ? states[n % 5] : "UDP",
               !sync ? "" : n % 7 ? "LOCAL  " : "SYNC   ", n % 900);
    }
    return 0;
}

// ---- running others -------------------------------------------------------------------------------------------------

static int over(char **words) {
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) die("a mount namespace");
    // /proc/self/net is a place of this process only: it must stay the same one.
    if (mount(words[0], words[1], NULL, MS_BIND, NULL)) die(words[1]);
    execvp(words[2], words + 2);
    die(words[2]);
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// The pages of a forked child would count for the command's, so it borrows ours.
static pid_t start(char **command, int in, int out) {
    pid_t child = vfork();
    if (child < 0) die("vfork");
    if (child == 0) {
        if (dup2(in, 0) == 0 && dup2(out, 1) == 1) execvp(command[0], command);
        _exit(127);
    }
    return child;
}

static int race(int count, char **words) {
    const char *in = "/dev/null", *out = "/dev/null";
    for (; count > 1 && words[0][0] == '-'; count -= 2, words += 2) {
        if (!strcmp(words[0], "-i")) in = words[1];
        else if (!strcmp(words[0], "-o")) out = words[1];
    }
    int rounds = count > 1 ? atoi(words[0]) : 0;
    if (rounds < 1) { errno = EINVAL; die("race"); }
    char **commands[64] = {words + 1};
    int runners = 1;
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], ",")) continue;
        words[i] = NULL;
        if (runners == 64) { errno = E2BIG; die("race"); }
        commands[runners++] = words + i + 1;
    }
    for (int round = 0; round < rounds; round++) {
        for (int r = 0; r < runners; r++) {
            int from = open(in, O_RDONLY | O_CLOEXEC);
            int to = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
            if (from < 0 || to < 0) die("open");
            struct rusage used;
            int status;
            uint64_t begun = now();
            pid_t child = start(commands[r], from, to);
            if (wait4(child, &status, 0, &used) != child) die("wait4");
            uint64_t ended = now();
            printf("%d %llu %ld %d\n", r, (unsigned long long)(ended - begun), used.ru_maxrss, status != 0);
            close(from);
            close(to);
        }
    }
    return 0;
}

int main(int count, char **words) {
    const char *work = count > 1 ? words[1] : "";
    if (!strcmp(work, "rules") && count > 3) return rules(atol(words[2]), atol(words[3]), count > 4);
    if (!strcmp(work, "connections") && count == 3) return connections(atol(words[2]), 0);
    if (!strcmp(work, "connections") && count == 4 && !strcmp(words[3], "sync")) return connections(atol(words[2]), 1);
    if (!strcmp(work, "encode") && count == 2) return encode();
    if (!strcmp(work, "replay") && count == 3) return replay(words[2]);
    if (!strcmp(work, "dump")) return dump(count > 2 ? (size_t)atol(words[2]) : RECEIVE_SERVERS);
    if (!strcmp(work, "mix") && count == 2) return mix();
    if (!strcmp(work, "swap") && count == 3) return swap(words[2]);
    if (!strcmp(work, "add") && count == 3) return change(IPVS_CMD_NEW_SERVICE, words[2]);
    if (!strcmp(work, "del") && count == 3) return change(IPVS_CMD_DEL_SERVICE, words[2]);
    if (!strcmp(work, "list") && count == 3) return list(words[2]);
    if (!strcmp(work, "over") && count > 4) return over(words + 2);
    if (!strcmp(work, "race") && count > 3) return race(count - 2, words + 2);
    fputs("floor: wrong use; see the head of floor.c\n", stderr);
    return 2;
}
