//! getsockopt(2) for options whose length only the caller knows, which no safe wrapper offers. This is the only `unsafe` code of
//! the project; `tests/no-kernel/architecture.rs` holds it to this file.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;

/// What is asked of the kernel: options of `linux/ip_vs.h`, which it answers at the level of IP.
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub(super) enum Question {
    /// `IP_VS_SO_GET_INFO`: what IPVS is, and how many services it has.
    Info = 1153,
    /// `IP_VS_SO_GET_SERVICES`: all services.
    Services = 1154,
    /// `IP_VS_SO_GET_SERVICE`: one service, and how many servers it has.
    Service = 1155,
    /// `IP_VS_SO_GET_DESTS`: the servers of a service.
    Servers = 1156,
}

/// Ask. `bytes` holds the question, and then the answer.
pub(super) fn get(socket: BorrowedFd<'_>, question: Question, bytes: &mut [u8]) -> io::Result<()> {
    let mut length = libc::socklen_t::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the call gets a descriptor and two pointers, and keeps none of them.
    // - `socket` is borrowed, so it is open until the call returns.
    // - `bytes` is borrowed alone and initialized, so `length` bytes can be read from and written to its address. The kernel
    //   reads and writes no more than `length` bytes there: it refuses the call unless `length` is the size of what it is to
    //   write (`do_ip_vs_get_ctl`). Whatever it writes is a valid `u8`.
    // - `length` is a local variable of the type that the call reads and writes.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            question as libc::c_int,
            bytes.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
