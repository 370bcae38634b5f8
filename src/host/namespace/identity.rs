//! Which network namespace this is. `/run` is often shared between them, what a record is about is not.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, getsockopt, socket};
use serde::{Deserialize, Serialize};

/// `SO_NETNS_COOKIE` of `asm-generic/socket.h`.
const SO_NETNS_COOKIE: libc::c_int = 71;

/// The socket option of that name: a number that no other namespace gets until the next boot.
#[derive(Clone, Copy)]
struct Cookie;

nix::getsockopt_impl!(Cookie, libc::SOL_SOCKET, SO_NETNS_COOKIE, u64, nix::sys::socket::sockopt::GetStruct<u64>);

/// A network namespace, distinguished from those before and after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// The inode of `/proc/self/ns/net`. The kernel gives the smallest free number to the next namespace.
    pub inode: u64,
    /// What is never given again, of kernels since 5.14.
    pub cookie: Option<u64>,
    /// `/proc/sys/kernel/random/boot_id`: where `/run` outlives a boot, what it describes does not.
    pub boot: String,
}

impl Namespace {
    /// The one we are in.
    ///
    /// # Errors
    /// There is no `/proc`, or no socket to be had.
    pub fn current() -> io::Result<Self> {
        let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        Ok(Self {
            // Of the thread: in a program of one thread it is the same.
            inode: fs::metadata("/proc/thread-self/ns/net")?.ino(),
            cookie: getsockopt(&socket, Cookie).ok(),
            boot: fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned(),
        })
    }
}
