//! Which server the hash schedulers `sh`, `mh` and `dh` choose for a client: computed as the kernel does, from the order of
//! a service's servers, their weights, the service's flags and the sizes of the kernel's tables. Pure functions.
//!
//! ```
//! use std::net::IpAddr;
//! use ipvs_client::mapping::{Kernel, Mapping, Member};
//! use ipvs_client::{Destination, Service, scheduler};
//!
//! let web = Service::tcp([192, 0, 2, 1], 80, scheduler::SH);
//! // As the kernel lists them: the newest first.
//! let servers = [2, 1].map(|last| Member::of(&Destination::direct([10, 0, 0, last], 80)));
//! let mapping = Mapping::new(&web, &servers, &Kernel::DEFAULT)?;
//! let client: IpAddr = [198, 51, 100, 7].into();
//! let server = mapping.choice(client, Some(40000), [192, 0, 2, 1].into())?;
//! assert!(server.is_some());
//! # Ok::<(), ipvs_client::mapping::Unknown>(())
//! ```
//!
//! What cannot be known from outside of the kernel is [`Unknown`], with the reason. Sources of the algorithms:
//! `net/netfilter/ipvs/ip_vs_sh.c`, `ip_vs_mh.c`, `ip_vs_dh.c` of Linux 6.1 to 7.2; tests compare them with these kernels
//! connection by connection.

mod digest;
mod hash;
mod kernel;
mod loss;
mod member;
mod slots;
mod table;

pub use digest::Digest;
pub use kernel::{Architecture, Kernel, MH_INDEX, SH_BITS};
pub use loss::Loss;
pub use member::{HashScheduler, Member, Refusing, Unknown, refusing, with_fallback};
pub use table::Mapping;

#[cfg(test)]
mod tests;
