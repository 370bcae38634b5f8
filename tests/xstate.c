/*
 * Lets user-mode-linux 6.1 and 6.12 run on processors with AMX. tests/in-kernel preloads it there.
 *
 * They have 2696 bytes for a process's extended registers, which are all up to AVX-512's. With AMX a processor has
 * 8 KiB more, and ptrace(2) takes PTRACE_SETREGSET of NT_X86_XSTATE for the whole only; so user-mode-linux dies at its first
 * process. The rest is added as it is: nothing in there can use AMX, which a process has to ask the kernel for.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

long ptrace(enum __ptrace_request request, ...)
{
    static long (*original)(enum __ptrace_request, ...);
    static char whole[64 * 1024];
    va_list arguments;

    va_start(arguments, request);
    pid_t process = va_arg(arguments, pid_t);
    void *address = va_arg(arguments, void *);
    void *data = va_arg(arguments, void *);
    va_end(arguments);

    if (!original)
        original = (long (*)(enum __ptrace_request, ...))dlsym(RTLD_NEXT, "ptrace");
    if (request == PTRACE_SETREGSET && address == (void *)NT_X86_XSTATE) {
        const struct iovec *some = data;
        struct iovec all = {whole, sizeof whole};
        if (original(PTRACE_GETREGSET, process, address, &all) < 0)
            return -1;
        if (some->iov_len < all.iov_len) {
            memcpy(whole, some->iov_base, some->iov_len);
            data = &all;
        }
        return original(request, process, address, data);
    }
    return original(request, process, address, data);
}
